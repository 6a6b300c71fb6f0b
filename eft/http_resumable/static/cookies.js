// Tells which of the two reasons for a missing cookie it is. Without scripts the page names both.
(function () {
  "use strict";
  function works() {
    // Some browsers say that cookies are on and keep none, so one is tried.
    var probe = "eft-probe=" + Date.now();
    try {
      document.cookie = probe + "; Secure; SameSite=Strict; Path=/";
      var kept = document.cookie.indexOf(probe) !== -1;
      document.cookie = "eft-probe=; Max-Age=0; Secure; SameSite=Strict; Path=/";
      return navigator.cookieEnabled && kept;
    } catch (refused) {
      return false;
    }
  }
  document.getElementById(works() ? "cookies-off" : "not-signed-in").hidden = true;
})();
