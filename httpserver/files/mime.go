package files

import (
	"path"
	"strings"
)

const (
	utf8Text = "; charset=utf-8"
	unknown  = "application/octet-stream"
)

// types is the media type of each extension. It is our own and not the system's, so that a site is
// served the same everywhere. Text is UTF-8.
var types = map[string]string{
	".html": "text/html" + utf8Text, ".htm": "text/html" + utf8Text, ".xhtml": "application/xhtml+xml",
	".css": "text/css" + utf8Text, ".js": "text/javascript" + utf8Text, ".mjs": "text/javascript" + utf8Text,
	".json": "application/json", ".map": "application/json", ".jsonld": "application/ld+json", ".geojson": "application/geo+json",
	".ndjson": "application/x-ndjson", ".webmanifest": "application/manifest+json", ".har": "application/json",
	".xml": "text/xml" + utf8Text, ".xsl": "text/xml" + utf8Text, ".atom": "application/atom+xml", ".rss": "application/rss+xml",
	".txt": "text/plain" + utf8Text, ".text": "text/plain" + utf8Text, ".log": "text/plain" + utf8Text, ".md": "text/markdown" + utf8Text,
	".csv": "text/csv" + utf8Text, ".tsv": "text/tab-separated-values" + utf8Text, ".ics": "text/calendar" + utf8Text,
	".vcf": "text/vcard" + utf8Text, ".vtt": "text/vtt" + utf8Text, ".srt": "text/plain" + utf8Text,
	".yaml": "application/yaml", ".yml": "application/yaml", ".toml": "application/toml", ".rtf": "application/rtf",

	".go": "text/plain" + utf8Text, ".c": "text/plain" + utf8Text, ".h": "text/plain" + utf8Text, ".cc": "text/plain" + utf8Text,
	".cpp": "text/plain" + utf8Text, ".rs": "text/plain" + utf8Text, ".py": "text/plain" + utf8Text, ".sh": "text/plain" + utf8Text,
	".java": "text/plain" + utf8Text, ".mod": "text/plain" + utf8Text, ".sum": "text/plain" + utf8Text, ".diff": "text/plain" + utf8Text,
	".patch": "text/plain" + utf8Text, ".conf": "text/plain" + utf8Text, ".ini": "text/plain" + utf8Text, ".sql": "text/plain" + utf8Text,

	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
	".avif": "image/avif", ".jxl": "image/jxl", ".ico": "image/vnd.microsoft.icon", ".bmp": "image/bmp", ".tif": "image/tiff",
	".tiff": "image/tiff", ".apng": "image/apng", ".heic": "image/heic",

	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
	".flac": "audio/flac", ".wav": "audio/wav", ".weba": "audio/webm", ".mid": "audio/midi",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime", ".mkv": "video/matroska",
	".avi": "video/x-msvideo", ".mpeg": "video/mpeg", ".mpg": "video/mpeg", ".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml",

	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".ttc": "font/collection",

	".pdf": "application/pdf", ".epub": "application/epub+zip", ".wasm": "application/wasm", ".ps": "application/postscript",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":  "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",

	".zip": "application/zip", ".gz": "application/gzip", ".tgz": "application/gzip", ".bz2": "application/x-bzip2",
	".xz": "application/x-xz", ".zst": "application/zstd", ".tar": "application/x-tar", ".7z": "application/x-7z-compressed",
	".jar": "application/java-archive", ".deb": "application/vnd.debian.binary-package", ".rpm": "application/x-rpm",
	".apk": "application/vnd.android.package-archive", ".iso": "application/x-iso9660-image", ".pcap": "application/vnd.tcpdump.pcap",
	".torrent": "application/x-bittorrent", ".asc": "application/pgp-signature", ".sig": "application/pgp-signature",
}

// plainNames are files without an extension that people put into directories to be read.
var plainNames = map[string]bool{
	"README": true, "LICENSE": true, "COPYING": true, "NOTICE": true, "AUTHORS": true, "CHANGELOG": true, "NEWS": true, "TODO": true,
	"Makefile": true, "Dockerfile": true, "Release": true, "InRelease": true, "Packages": true,
}

// contentType returns the media type of a name; what it does not know is just octets.
func contentType(name string) string {
	base := path.Base(name)
	ext := path.Ext(base)
	if t, ok := types[ext]; ok {
		return t
	}
	if t, ok := types[strings.ToLower(ext)]; ok {
		return t
	}
	if plainNames[base] {
		return "text/plain" + utf8Text
	}
	return unknown
}
