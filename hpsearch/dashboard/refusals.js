// optuna-dashboard says that a study could not be created or renamed, and not why: this says why.
(() => {
  const silent = /\/api\/studies(\/-?\d+\/rename)?\/?$/;
  const show = (reason) => {
    const line = document.createElement("div");
    line.setAttribute("role", "alert");
    line.textContent = reason;
    Object.assign(line.style, {
      position: "fixed", top: "72px", left: "50%", transform: "translateX(-50%)", zIndex: 2000,
      maxWidth: "min(640px, 90vw)", padding: "12px 16px", borderRadius: "4px",
      background: "#d32f2f", color: "#fff", font: "16px/1.4 sans-serif",
    });
    document.body.append(line);
    setTimeout(() => line.remove(), 20000);
  };
  const { fetch } = window;
  window.fetch = async (request, ...rest) => {
    const answer = await fetch(request, ...rest);
    const { pathname } = new URL(request.url ?? request, location);
    if (answer.status === 409 && silent.test(pathname)) {
      answer.clone().json().then(({ reason }) => show(reason), () => {});
    }
    return answer;
  };
})();
