// The page is filled from the record's numbers; on paper all is unfolded, and pictures are as wide as a sheet.

const data = JSON.parse(document.getElementById("data").textContent);
const shared = {parts: unpacked(data.parts), imageSize: data.image_size, commands: data.commands};
document.querySelectorAll(".device").forEach((host) => showDevice(host, data.devices[Number(host.dataset.device)], shared));

const SHEET = 680; // pixels
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => details.setAttribute("open", ""));
  charts.forEach((chart) => chart.draw(Math.min(SHEET, chart.host.clientWidth)));
});
window.addEventListener("afterprint", () => {
  folded.forEach((details) => details.removeAttribute("open"));
  charts.forEach((chart) => chart.draw());
});
