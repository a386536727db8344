package main

import "net"

// notify tells systemd the state, "READY=1" or "STOPPING=1" (sd_notify(3)); without a socket nobody asked.
func notify(env environ, state string) error {
	path := env.get("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", path) // a leading @ is an abstract address, which net knows
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(state))
	return err
}
