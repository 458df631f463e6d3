# As debhelper has it: enabled unless the administrator has disabled it, and started anew with the new program.
if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ]; then
  deb-systemd-helper unmask @PACKAGE@.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled @PACKAGE@.service; then
    deb-systemd-helper enable @PACKAGE@.service >/dev/null || true
  else
    deb-systemd-helper update-state @PACKAGE@.service >/dev/null || true
  fi
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    if [ -n "${2:-}" ]; then action=restart; else action=start; fi
    deb-systemd-invoke "$action" @PACKAGE@.service >/dev/null || true
  fi
fi
