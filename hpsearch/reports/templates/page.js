// The line nearest to the pointer says which trial it is; a page that is printed has nothing folded.
for (const picture of document.querySelectorAll(".parallel")) {
  const svg = picture.querySelector("svg"), said = picture.querySelector("output");
  const lines = [...svg.querySelectorAll("polyline")].map(line =>
    ({line, points: line.getAttribute("points").split(" ").map(p => p.split(",").map(Number))}));
  let on = null;
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    const x = (event.clientX - box.left) * view.width / box.width;
    const y = (event.clientY - box.top) * view.height / box.height;
    let best = null, least = 15;
    for (const one of lines) {
      const at = one.points.findIndex(p => p[0] >= x);
      if (at < 1) continue;
      const [a, b] = [one.points[at - 1], one.points[at]];
      const away = Math.abs(a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0]) - y);
      if (away <= least) { least = away; best = one.line; }
    }
    if (best === on) return;
    if (on) on.classList.remove("on");
    on = best;
    if (on) { on.classList.add("on"); on.parentNode.append(on); said.textContent = on.dataset.t; }
  });
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
