package console

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// KeySize is how long the console's key is, in bytes.
const KeySize = 32

// How long somebody stays signed in at most.
const sessionLife = 8 * time.Hour

// How long a notice waits for the page that shows it.
const noticeLife = time.Minute

// How long a notice may be when sealed. All of a request's header is 8 KiB.
const maxNoticeBytes = 3000

// session is who is signed in: sealed in a cookie, and nowhere else.
type session struct {
	Key string `json:"key"`
	// Of a key of role ROLE_SERVICE: the organisation that it acts for.
	Org string `json:"org,omitempty"`
	// Random.
	ID      string `json:"id"`
	Expires int64  `json:"expires"`
	// How the cookie came, and further ones go.
	secure bool
}

// KeyID is the part of the key that is no secret, by which the organisation knows it.
func (s *session) KeyID() string {
	if parts := strings.Split(s.Key, "_"); len(parts) == 3 {
		return parts[1]
	}
	return ""
}

// notice is what is to be told on the page that follows a change.
type notice struct {
	Text string `json:"text"`
	// What is well and may still disappoint.
	Warnings []string `json:"warnings,omitempty"`
	Bad      bool     `json:"bad,omitempty"`
}

// cookieJar seals cookies, so that nobody without the console's key can read or make one. All are HttpOnly and
// SameSite=Strict.
type cookieJar struct {
	aead       cipher.AEAD
	bindingKey []byte
}

func newCookieJar(key []byte) (cookieJar, error) {
	if len(key) != KeySize {
		return cookieJar{}, fmt.Errorf("the console's key has %d bytes instead of %d", len(key), KeySize)
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "authurl console: cookies", KeySize)
	if err != nil {
		return cookieJar{}, err
	}
	binding, err := hkdf.Key(sha256.New, key, nil, "authurl console: session bindings", KeySize)
	if err != nil {
		return cookieJar{}, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return cookieJar{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return cookieJar{aead: aead, bindingKey: binding}, err
}

// The names of the cookies. With __Host- no other site under the same name can set one (RFC 6265bis 4.1.3.2), but
// browsers keep such a one from https only. Over http, which is for this machine, it goes without.
const (
	sessionCookie = "authurl_console"
	noticeCookie  = "authurl_console_notice"
	securePrefix  = "__Host-"
)

func nameOf(cookie string, secure bool) string {
	if secure {
		return securePrefix + cookie
	}
	return cookie
}

// seal binds the value to the cookie's name: none can be taken for another.
func (j cookieJar) seal(name string, value any) string {
	text, _ := json.Marshal(value) // Texts and numbers only: never fails.
	return base64.RawURLEncoding.EncodeToString(j.aead.Seal(nil, nil, text, []byte(name)))
}

func (j cookieJar) open(name, sealed string, value any) bool {
	bytes, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return false
	}
	text, err := j.aead.Open(nil, nil, bytes, []byte(name))
	return err == nil && json.Unmarshal(text, value) == nil
}

func (j cookieJar) set(w http.ResponseWriter, name, value string, life time.Duration) {
	secure := strings.HasPrefix(name, securePrefix)
	// __Host- cookies have the path "/", whatever needs them.
	path := Path
	if secure {
		path = "/"
	}
	seconds := int(life / time.Second)
	if seconds <= 0 {
		seconds = -1 // Delete it.
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: path, MaxAge: seconds, Secure: secure, HttpOnly: true,
		SameSite: http.SameSiteStrictMode})
}

// session is that of a request; nil where nobody is signed in, and whether somebody was until now.
func (j cookieJar) session(r *http.Request) (s *session, ended bool) {
	for _, secure := range []bool{true, false} {
		name := nameOf(sessionCookie, secure)
		cookie, err := r.Cookie(name)
		// Without the prefix it could be another site's; on this machine there is none.
		if err != nil || !secure && !isThisMachine(r.Host) {
			continue
		}
		s := &session{secure: secure}
		if !j.open(name, cookie.Value, s) || time.Now().Unix() >= s.Expires {
			ended = true
			continue
		}
		return s, false
	}
	return nil, ended
}

func (j cookieJar) begin(w http.ResponseWriter, s session) {
	s.ID = rand.Text()
	s.Expires = time.Now().Add(sessionLife).Unix()
	name := nameOf(sessionCookie, s.secure)
	j.set(w, name, j.seal(name, s), sessionLife)
}

func (j cookieJar) forget(w http.ResponseWriter, s *session) {
	j.set(w, nameOf(sessionCookie, s.secure), "", 0)
	j.set(w, nameOf(noticeCookie, s.secure), "", 0)
}

// binding ties flows to the session that began them (GetAuthUrlRequest.session_binding).
func (j cookieJar) binding(s *session) string {
	mac := hmac.New(sha256.New, j.bindingKey)
	mac.Write([]byte(s.ID))
	return hex.EncodeToString(mac.Sum(nil))
}

func (j cookieJar) leaveNotice(w http.ResponseWriter, s *session, n notice) {
	name := nameOf(noticeCookie, s.secure)
	sealed := j.seal(name, n)
	for len(sealed) > maxNoticeBytes && len(n.Warnings) > 0 {
		n.Warnings = n.Warnings[:len(n.Warnings)-1]
		sealed = j.seal(name, n)
	}
	if len(sealed) <= maxNoticeBytes {
		j.set(w, name, sealed, noticeLife)
	}
}

func (j cookieJar) takeNotice(w http.ResponseWriter, r *http.Request, s *session) *notice {
	name := nameOf(noticeCookie, s.secure)
	cookie, err := r.Cookie(name)
	if err != nil {
		return nil
	}
	j.set(w, name, "", 0)
	var n notice
	if !j.open(name, cookie.Value, &n) {
		return nil
	}
	return &n
}

// isThisMachine tells whether a Host is one that browsers trust over http.
func isThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.IsLoopback()
}

// cameByHTTPS: the browser says in Origin how it came, whatever is in between.
func (h *Handler) cameByHTTPS(r *http.Request) bool {
	if origin, err := url.Parse(r.Header.Get("Origin")); err == nil && origin.Host != "" {
		return origin.Scheme == "https"
	}
	return h.options.TLS
}

// cut shortens the text to at most `most` bytes, between characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
