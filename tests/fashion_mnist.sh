#!/usr/bin/env bash
# Lays Fashion-MNIST out below a folder as torchvision does, from Debian's package of it:
#
#     apt-get install dataset-fashion-mnist; tests/fashion_mnist.sh FOLDER
set -euo pipefail
package=/usr/share/datasets/fashion-mnist
raw=$1/FashionMNIST/raw

if [ ! -d "$package" ]; then
  echo "no Fashion-MNIST under HPSEARCH_DATA; Debian has it: apt-get install dataset-fashion-mnist" >&2
  exit 1
fi
mkdir -p "$raw"
for packed in "$package"/*.gz; do
  gunzip --stdout "$packed" >"$raw/$(basename "$packed" .gz)"
done
