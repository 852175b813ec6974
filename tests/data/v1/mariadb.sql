CREATE TABLE studies (
study_id INTEGER NOT NULL AUTO_INCREMENT, 
study_name VARCHAR(512) NOT NULL, 
PRIMARY KEY (study_id)
);

CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);

CREATE TABLE version_info (
version_info_id INTEGER NOT NULL, 
schema_version INTEGER, 
library_version VARCHAR(256), 
PRIMARY KEY (version_info_id), 
CHECK (version_info_id=1)
);

CREATE TABLE study_directions (
study_direction_id INTEGER NOT NULL AUTO_INCREMENT, 
direction ENUM('NOT_SET','MINIMIZE','MAXIMIZE') NOT NULL, 
study_id INTEGER NOT NULL, 
objective INTEGER NOT NULL, 
PRIMARY KEY (study_direction_id), 
UNIQUE (study_id, objective), 
FOREIGN KEY(study_id) REFERENCES studies (study_id)
);

CREATE TABLE study_user_attributes (
study_user_attribute_id INTEGER NOT NULL AUTO_INCREMENT, 
study_id INTEGER, 
`key` VARCHAR(512), 
value_json TEXT, 
PRIMARY KEY (study_user_attribute_id), 
UNIQUE (study_id, `key`), 
FOREIGN KEY(study_id) REFERENCES studies (study_id)
);

CREATE TABLE study_system_attributes (
study_system_attribute_id INTEGER NOT NULL AUTO_INCREMENT, 
study_id INTEGER, 
`key` VARCHAR(512), 
value_json TEXT, 
PRIMARY KEY (study_system_attribute_id), 
UNIQUE (study_id, `key`), 
FOREIGN KEY(study_id) REFERENCES studies (study_id)
);

CREATE TABLE trials (
trial_id INTEGER NOT NULL AUTO_INCREMENT, 
number INTEGER, 
study_id INTEGER, 
state ENUM('RUNNING','COMPLETE','PRUNED','FAIL','WAITING') NOT NULL, 
datetime_start DATETIME, 
datetime_complete DATETIME, 
PRIMARY KEY (trial_id), 
FOREIGN KEY(study_id) REFERENCES studies (study_id)
);

CREATE INDEX ix_trials_study_id ON trials (study_id);

CREATE TABLE trial_user_attributes (
trial_user_attribute_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER, 
`key` VARCHAR(512), 
value_json TEXT, 
PRIMARY KEY (trial_user_attribute_id), 
UNIQUE (trial_id, `key`), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE trial_system_attributes (
trial_system_attribute_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER, 
`key` VARCHAR(512), 
value_json TEXT, 
PRIMARY KEY (trial_system_attribute_id), 
UNIQUE (trial_id, `key`), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE trial_params (
param_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER, 
param_name VARCHAR(512), 
param_value FLOAT(53), 
distribution_json TEXT, 
PRIMARY KEY (param_id), 
UNIQUE (trial_id, param_name), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE trial_values (
trial_value_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER NOT NULL, 
objective INTEGER NOT NULL, 
value FLOAT(53), 
value_type ENUM('FINITE','INF_POS','INF_NEG') NOT NULL, 
PRIMARY KEY (trial_value_id), 
UNIQUE (trial_id, objective), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE trial_intermediate_values (
trial_intermediate_value_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER NOT NULL, 
step INTEGER NOT NULL, 
intermediate_value FLOAT(53), 
intermediate_value_type ENUM('FINITE','INF_POS','INF_NEG','NAN') NOT NULL, 
PRIMARY KEY (trial_intermediate_value_id), 
UNIQUE (trial_id, step), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE trial_heartbeats (
trial_heartbeat_id INTEGER NOT NULL AUTO_INCREMENT, 
trial_id INTEGER NOT NULL, 
heartbeat DATETIME NOT NULL, 
PRIMARY KEY (trial_heartbeat_id), 
UNIQUE (trial_id), 
FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);

CREATE TABLE alembic_version (
version_num VARCHAR(32) NOT NULL, 
CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE hpsearch_schema (
version INTEGER NOT NULL, 
PRIMARY KEY (version)
);

CREATE TABLE hpsearch_studies (
study_id INTEGER NOT NULL, 
uid VARCHAR(32) NOT NULL, 
direction VARCHAR(8) NOT NULL, 
digest VARCHAR(64) NOT NULL, 
document LONGTEXT NOT NULL, 
base TEXT NOT NULL, 
state VARCHAR(16) NOT NULL, 
priority INTEGER NOT NULL, 
max_parallel INTEGER, 
crash_limit INTEGER NOT NULL, 
claimed_at DOUBLE, 
tickets INTEGER NOT NULL, 
issued INTEGER NOT NULL, 
drawn INTEGER NOT NULL, 
floor INTEGER NOT NULL, 
floor_origin INTEGER NOT NULL, 
ended INTEGER NOT NULL, 
opened INTEGER, 
overlap BOOL NOT NULL, 
finish VARCHAR(8), 
hours DOUBLE, 
active_s DOUBLE NOT NULL, 
active_at DOUBLE, 
data LONGTEXT, 
sanity TEXT, 
PRIMARY KEY (study_id)
);

CREATE TABLE hpsearch_stages (
study_id INTEGER NOT NULL, 
number INTEGER NOT NULL, 
first INTEGER NOT NULL, 
name VARCHAR(32) NOT NULL, 
content LONGTEXT NOT NULL, 
PRIMARY KEY (study_id, number)
);

CREATE TABLE hpsearch_finishes (
study_id INTEGER NOT NULL, 
number INTEGER NOT NULL, 
begun_at DOUBLE NOT NULL, 
result LONGTEXT, 
PRIMARY KEY (study_id, number)
);

CREATE TABLE hpsearch_forecasts (
digest VARCHAR(64) NOT NULL, 
content LONGTEXT NOT NULL, 
PRIMARY KEY (digest)
);

CREATE TABLE hpsearch_tickets (
study_id INTEGER NOT NULL, 
number INTEGER NOT NULL, 
state VARCHAR(8) NOT NULL, 
fence INTEGER NOT NULL, 
worker VARCHAR(64), 
trial_id INTEGER, 
origin INTEGER NOT NULL, 
retry_of INTEGER, 
reached INTEGER NOT NULL, 
crashes INTEGER NOT NULL, 
lost TEXT, 
PRIMARY KEY (study_id, number)
);

CREATE INDEX hpsearch_tickets_trial ON hpsearch_tickets (trial_id);

CREATE INDEX hpsearch_tickets_open ON hpsearch_tickets (state, study_id, number);

CREATE TABLE hpsearch_leases (
study_id INTEGER NOT NULL, 
number INTEGER NOT NULL, 
fence INTEGER NOT NULL, 
worker VARCHAR(64) NOT NULL, 
taken_at DOUBLE NOT NULL, 
until DOUBLE NOT NULL, 
ended_at DOUBLE, 
ending VARCHAR(8), 
PRIMARY KEY (study_id, number, fence)
);

CREATE INDEX hpsearch_leases_live ON hpsearch_leases (ended_at, study_id, until);

CREATE INDEX hpsearch_leases_worker ON hpsearch_leases (worker, ended_at);

CREATE TABLE hpsearch_workers (
worker VARCHAR(64) NOT NULL, 
host VARCHAR(255) NOT NULL, 
pid INTEGER NOT NULL, 
device VARCHAR(64) NOT NULL, 
lease_s DOUBLE NOT NULL, 
started_at DOUBLE NOT NULL, 
seen_at DOUBLE NOT NULL, 
stopped_at DOUBLE, 
PRIMARY KEY (worker)
);

CREATE INDEX hpsearch_workers_present ON hpsearch_workers (stopped_at);

CREATE TABLE hpsearch_epochs (
trial_id INTEGER NOT NULL, 
epoch INTEGER NOT NULL, 
metrics TEXT NOT NULL, 
seconds DOUBLE NOT NULL, 
PRIMARY KEY (trial_id, epoch)
);
