const button = document.querySelector("#toggle");
if (button) button.onclick = () => {
  const cells = [...document.querySelectorAll("details.code")], open = cells.some(c => !c.open);
  cells.forEach(c => { c.open = open; });
  button.textContent = open ? "hide code" : "show code";
};
document.querySelectorAll("script.figure").forEach(source => {
  const figure = JSON.parse(source.textContent), place = source.parentElement;
  const given = figure.layout || {}, template = given.template || {};
  // A responsive chart takes the height of its place.
  place.style.height = (given.height || (template.layout || {}).height || 380) + "px";
  const config = {responsive: true, displaylogo: false, showSendToCloud: false};
  Plotly.newPlot(place, {...figure, config: config});
});
// A chart drawn in a closed box has no width yet.
document.querySelectorAll("details").forEach(box => box.addEventListener("toggle", () =>
  box.querySelectorAll(".js-plotly-plot").forEach(chart => Plotly.Plots.resize(chart))));
// The numbers behind a chart, written when they are asked for.
const MOST = 200;
const list = values => values?.length ? Array.from(values) : [];
function numbers(traces) {
  const table = document.createElement("table");
  const add = (tag, values) => {
    const row = table.insertRow();
    values.forEach(v => { row.appendChild(document.createElement(tag)).textContent = v ?? ""; });
  };
  for (const trace of traces) {
    const x = list(trace.x), y = list(trace.y), z = list(trace.z);
    add("th", z.length ? [trace.name ?? "", ...x] : [trace.name ?? trace.type, "x", "y"]);
    if (z.length) z.slice(0, MOST).forEach((row, i) => add("td", [y[i] ?? i, ...row]));
    else y.slice(0, MOST).forEach((value, i) => add("td", ["", x[i] ?? i, value]));
    if (y.length > MOST) add("td", [`… ${y.length - MOST} more`]);
  }
  return table;
}
document.querySelectorAll(".js-plotly-plot").forEach(place => {
  const fold = document.createElement("details");
  fold.innerHTML = '<summary>Data</summary><div class="scroll"></div>';
  fold.addEventListener("toggle", () => fold.lastChild.replaceChildren(numbers(place._fullData)));
  place.after(fold);
});
