// Package files serves a directory over HTTP, to any server that takes an http.Handler.
//
//	h, err := files.New(files.Config{Root: "public"})
//	...
//	http.Handle("/", h)
//
// What it does, by section of RFC 9110:
//
//   - GET, HEAD and OPTIONS; 405 with Allow for other methods, 501 for unknown ones (§9.1, §15.5.6).
//   - A strong entity tag and Last-Modified for every file (§8.8), all conditions in their order (§13.2.2).
//   - One or several ranges of octets, clamped to what there is (§14). More than 16 of them, or such that
//     ask for more octets than the file has, are answered with the whole file.
//   - Files name.br and name.gz beside a file name go out in its place to who accepts them (§12.5.3), unless
//     they are older. Every answer for such a name says Vary.
//   - index.html of a directory, or else a listing, sorted by ?sort=name, size or time; -size is the other way round.
//   - 404.html at the root is the page for what is not there.
//
// Names that begin with a dot are neither listed nor served. Symbolic links are followed as long as they
// stay below the root (os.Root). Only regular files are opened for reading: a pipe in the directory blocks nobody.
//
// Small files are kept in memory; a look at the file's inode, size and times tells before every answer
// whether they are still the same.
package files
