// Before anything is painted: the theme that this browser chose, if it chose one. A file, as the policy allows no inline script.
try {
  const theme = localStorage.getItem("hansard.theme")
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme
} catch {
  // Storage may be switched off; then the system's theme it is.
}
