package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed console.css
var styleSheet []byte

//go:embed icon.svg
var icon []byte

const iconPath = Path + "/icon.svg"

// page is what the layout knows of each page.
type page struct {
	Title string
	// networks, accounts or events: where in the navigation it is.
	Section string
	Session *session
	Notice  *notice
	Problem *Problem
	Body    any
}

// Faults are the inputs of the page that have something wrong, for the summary above it.
func (p page) Faults() []input {
	if body, ok := p.Body.(interface{ faults() []input }); ok {
		return body.faults()
	}
	return nil
}

func (p signInPage) faults() []input { return faulty(p.Key, p.Org) }

// input is one field of a form.
type input struct {
	Name, Label, Hint, Value, Placeholder string
	// text, url, user and key (which a password manager may keep), secret, lines, choices or check.
	Kind     string
	Required bool
	Errors   []string
	Options  []option
	// For `check`.
	On bool
}

type option struct{ Value, Label string }

func (i input) ID() string { return "f-" + strings.NewReplacer(".", "-", " ", "-").Replace(i.Name) }

// DescribedBy names what a screen reader reads with the field.
func (i input) DescribedBy() string {
	var ids []string
	if i.Hint != "" {
		ids = append(ids, i.ID()+"-hint")
	}
	if len(i.Errors) > 0 {
		ids = append(ids, i.ID()+"-error")
	}
	return strings.Join(ids, " ")
}

func faulty(inputs ...input) []input {
	var found []input
	for _, each := range inputs {
		if len(each.Errors) > 0 {
			found = append(found, each)
		}
	}
	return found
}

type pages struct {
	templates map[string]*template.Template
	stylePath string
}

// newPages reads each page's template on top of the layout.
func newPages() (pages, error) {
	digest := sha256.Sum256(styleSheet)
	p := pages{templates: map[string]*template.Template{}, stylePath: Path + "/style-" + hex.EncodeToString(digest[:8]) + ".css"}
	functions := template.FuncMap{
		"when": when, "initials": initials, "style": func() string { return p.stylePath }, "status": statusOf, "kind": kindOf,
		"query": query, "name": accountName, "event": eventSentence, "reason": reasonSentence,
		"isHealthy": func(s authurlv1.SocialAccount_Status) bool { return s == authurlv1.SocialAccount_STATUS_ACTIVE },
	}
	layout, err := template.New("layout").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return p, err
	}
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return p, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		own, err := layout.Clone()
		if err != nil {
			return p, err
		}
		if p.templates[name], err = own.ParseFS(templateFiles, path.Join("templates", file.Name())); err != nil {
			return p, err
		}
	}
	return p, nil
}

// setHeaders: a page runs nothing, shows nothing of others, is shown in nobody's frame, and sends its forms here only.
// Browsers follow form-action for redirects as well, so that a form never leads to a network: a link does.
func (p pages) setHeaders(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Frame-Options", "DENY")
	// Not no-referrer: then browsers would say "Origin: null" of the console's own forms. Other sites are told nothing.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("X-Robots-Tag", "noindex")
}

func (p pages) write(w http.ResponseWriter, status int, name string, data page) {
	var out bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&out, "layout", data); err != nil {
		panic(fmt.Errorf("the page %s: %w", name, err)) // Told to the log by the gateway.
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // A browser that is gone reads no page.
}

func (p pages) serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	// Its name has its digest.
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(styleSheet)
}

func (p pages) serveIcon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(icon)
}

// form reads the body of a POST; false: it was no form, and that is told.
func (h *Handler) form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		var form url.Values
		if form, err = url.ParseQuery(string(text)); err == nil {
			return inUTF8(form), true
		}
	}
	h.Refuse(w, r, Problem{Status: http.StatusBadRequest, Code: "INVALID_FORM", Message: "What was sent is not a form."})
	return nil, false
}

// inUTF8: no message can carry anything else.
func inUTF8(values url.Values) url.Values {
	for _, each := range values {
		for i := range each {
			each[i] = strings.ToValidUTF8(each[i], "\ufffd")
		}
	}
	return values
}

// query is that of the address.
func (v *visit) query() url.Values { return inUTF8(v.r.URL.Query()) }

func (v *visit) form() (url.Values, bool) { return v.Handler.form(v.w, v.r) }

// moment is a time as it is shown, and as programs read it.
type moment struct{ Machine, Human string }

func when(at *timestamppb.Timestamp) *moment {
	if at == nil {
		return nil
	}
	utc := at.AsTime().UTC()
	return &moment{utc.Format(time.RFC3339), utc.Format("2 Jan 2006, 15:04 UTC")}
}

// initials stand in the place of a picture, which would have to be fetched from the network's host.
func initials(name string) string {
	var out []rune
	for word := range strings.FieldsSeq(name) {
		for _, letter := range word {
			if unicode.IsLetter(letter) || unicode.IsDigit(letter) {
				out = append(out, unicode.ToUpper(letter))
				break
			}
		}
		if len(out) == 2 {
			break
		}
	}
	if len(out) == 0 {
		return "?"
	}
	return string(out)
}

// query is the query of names and values, without those that are empty.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

func accountName(account interface {
	GetDisplayName() string
	GetUsername() string
	GetNetworkUniqueId() string
}) string {
	for _, name := range []string{account.GetDisplayName(), account.GetUsername(), account.GetNetworkUniqueId()} {
		if strings.TrimSpace(name) != "" {
			return name
		}
	}
	return "Account without a name"
}

func kindOf(kind authurlv1.SocialAccount_AccountType) string {
	switch kind {
	case authurlv1.SocialAccount_ACCOUNT_TYPE_PERSONAL:
		return "Personal"
	case authurlv1.SocialAccount_ACCOUNT_TYPE_ORGANIZATION:
		return "Page or organisation"
	}
	return "Not known"
}

func statusOf(status authurlv1.SocialAccount_Status) string {
	switch status {
	case authurlv1.SocialAccount_STATUS_ACTIVE:
		return "Active"
	case authurlv1.SocialAccount_STATUS_NEEDS_RECONNECT:
		return "Needs reconnect"
	}
	return "Not known"
}
