const button = document.querySelector("#toggle");
button.onclick = () => {
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
