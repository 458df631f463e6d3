package main

// Which build this is; build.sh sets both (-ldflags -X). The revision is empty where nobody knows it.
var (
	version  = "unknown"
	revision = ""
)

// versionLine is what --version prints, as the other programs of authurl do.
func versionLine() string {
	line := "authurl-gateway " + version
	if revision != "" {
		line += " (" + revision + ")"
	}
	return line
}
