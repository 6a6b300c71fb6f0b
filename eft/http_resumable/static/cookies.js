// Tells which of the two reasons for a missing cookie it is. Without scripts the page names both.
(function () {
  "use strict";
  var hide = navigator.cookieEnabled ? "cookies-off" : "not-signed-in";
  document.documentElement.setAttribute("data-cookies", navigator.cookieEnabled ? "on" : "off");
  document.getElementById(hide).hidden = true;
})();
