package panel

import (
	"embed"
	"net/http"
)

//go:embed assets
var assets embed.FS

// page serves the page itself.
func (p *Panel) page(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, assets, "assets/panel.html")
}

// asset serves a script or a style sheet of the page.
func (p *Panel) asset(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, assets, "assets/"+r.PathValue("asset"))
}
