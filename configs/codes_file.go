package configs

import (
	"slices"
	"strings"
)

// joinCodes puts the tables together in the order of the codes.
func joinCodes(tables ...[]codeText) []codeText {
	all := slices.Concat(tables...)
	slices.SortFunc(all, func(a, b codeText) int { return strings.Compare(a.code, b.code) })
	return all
}

// fileCodes are found by this package.
var fileCodes = []codeText{
	{"E0101", "the configuration cannot be read", "The file is not there, or this user may not read it. fieldgate init writes a first one; the service runs as user fieldgate and must be able to read /etc/fieldgate."},
	{"E0102", "not TOML", "The text breaks a rule of TOML 1.0 at this place: a quote that is not closed, a missing =, comma or bracket, a key twice. The rest of that file is not looked at until this is mended."},
	{"E0103", "unknown key", "No section here has a key of this name. Every key counts, so a misspelt one is an error rather than ignored. fieldgate config explain SECTION lists the keys of a section."},
	{"E0104", "wrong type of value", "The key wants another kind of value: text stands in quotes, numbers and true or false do not, lists stand in [ ], a section that may be there several times in [[ ]]."},
	{"E0105", "not a length of time, not a size", "Lengths of time are written \"250ms\", \"5s\", \"10m\", \"24h\" or \"14d\", sizes \"64KiB\", \"512MiB\" or \"1GiB\", without a space."},
	{"E0106", "known, but not supported in this version", "The key belongs to the product, but this version does not do it yet. It is refused rather than ignored, so that nobody waits for it to act. Remove it, or install a version that has it."},
	{"E0107", "set twice", "The same key is set in two files, or twice in one. Sections in [[ ]] add up; anything else may be set once."},
	{"E0109", "secret or file not there", "The variable, the credential or the file that a key names is not set, not there or empty. Variables come from Environment= or EnvironmentFile= of the unit, credentials from LoadCredential=."},
	{"W0109", "credential not looked up", "Credentials are there for the service only, in the directory that systemd names in CREDENTIALS_DIRECTORY. A check from a shell cannot see them; the unit needs LoadCredential=."},
	{"W0110", "secret in clear text", "A password stands in the file itself, where backups and copies show it. Use \"credential:NAME\", \"${NAME}\" or a *_file key."},
	{"W0111", "looks like a reference", "Only \"${NAME}\" alone is read from the environment. Here ${ stands inside other text, which is taken as the secret as it is."},
	{"E0112", "file is open to others", "Every user of this machine can read a file with a secret. chmod 0640 and the group fieldgate are enough for the service."},
	{"W0113", "user file is open to others", "Every user of this machine can read the password hashes. chmod 0640 and the group fieldgate are enough for the service."},
	{"E0114", "include", "A name in include has no file, is not a pattern, or an included file includes others. Patterns such as \"conf.d/*.toml\" are relative to the main file and may match nothing."},
	{"E0115", "too large", "The file is larger than 4 MiB, or nests deeper than any configuration does. Something else was probably named."},
	{"E0116", "unknown version", "The file was written for another version of the schema. This program reads version 1."},
	{"E0124", "two tags, one topic", "Two tags would publish to the same topic, so that nobody could tell their values apart, or a tag would publish where another takes its commands. Rename one, or keep {device} and {tag} levels of their own in publish.topic."},
	{"E0125", "reserved topic", "A tag would publish where the gateway keeps its own status. Change publish.topic or publish.base."},
	{"W0123", "bus without devices", "Nothing is read from this bus."},
	{"W0126", "route without values", "No tag of this file is published under the route's from. Compare it with the topics that fieldgate tags shows."},
	{"W0127", "command without a tag", "No tag takes commands at the topic that to gives. Tags are read only unless they have write = { … }."},
	{"E0130", "unknown word", "The key takes one of a few words."},
	{"W0301", "the line cannot keep up", "The requests that the polls need take more time than there is, computed from baud, frame sizes, gaps and an assumed 20 ms for the device to answer. Values would come late and slots be skipped. Poll slower, raise baud, or allow a larger max_gap; fieldgate plan shows each request."},
	{"W0401", "the port's name changes", "ttyUSB0 and its like are given out in the order in which adapters are found. After the next start the name may belong to another one. Use the name under /dev/serial/by-id or by-path; fieldgate ports lists them."},
	{"E0410", "parity on the small UART of a Raspberry Pi", "serial0 is the mini-UART here: it knows no parity, and its speed follows the clock of the core. Put dtoverlay=disable-bt into /boot/firmware/config.txt and run systemctl disable hciuart; then serial0 is the full UART."},
	{"E0411", "console on the port", "Linux writes its console to this port, and a login waits on it, so both would talk to the devices. Take console=… out of cmdline.txt and disable serial-getty@ for the port."},
}
