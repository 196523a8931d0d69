// Runs before the first paint, so that a chosen theme never flashes the other one.
'use strict';
try {
  const chosen = localStorage.getItem('tern-theme');
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the system's theme stays.
}
