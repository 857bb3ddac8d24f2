// The page is filled from the record's numbers.

const data = JSON.parse(document.getElementById("data").textContent);
const shared = {parts: unpacked(data.parts), imageSize: data.image_size, commands: data.commands};
document.querySelectorAll(".device").forEach((host) => showDevice(host, data.devices[Number(host.dataset.device)], shared));
