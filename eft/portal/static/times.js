"use strict";
// Adds the reader's own time to each time in UTC, and keeps the time that is left up to date. Pages say all of it without this script.
const own = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.getTime()) && moment.getTimezoneOffset() !== 0) time.append(` (${own.format(moment)} your time)`);
}

function left(milliseconds) {
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const minutes = Math.floor(milliseconds / 60000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days) return `${count(days, "day")} ${count(hours, "hour")}`;
  if (hours) return `${count(hours, "hour")} ${count(minutes % 60, "minute")}`;
  return minutes ? count(minutes, "minute") : "less than a minute";
}

for (const place of document.querySelectorAll("[data-until]")) {
  const until = new Date(place.dataset.until).getTime();
  const timer = setInterval(() => {
    const remaining = until - Date.now();
    if (remaining > 0) {
      place.textContent = left(remaining);
      return;
    }
    clearInterval(timer); // what has expired is shown no longer: the page comes anew, without a form being sent again
    location.replace(location.pathname.replace(/\/account\/reveal$/, ""));
  }, 1000);
}
