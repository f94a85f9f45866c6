package report

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/minehound/minehound/agent/incident"
)

// WebhookOptions says where alerts are posted to and how.
type WebhookOptions struct {
	Name     string        // what it is called in stats and notes
	URL      string        // https://…; path and query may be secret and appear in no error
	Secrets  []Secret      // every request is signed with each of them, which makes rotation seamless; none: unsigned
	Insecure bool          // http:// is allowed, for a receiver on this machine or behind a tunnel
	CAFile   string        // PEM file of the authorities to trust instead of the system's
	Timeout  time.Duration // for one attempt; 0 is 15 s, the least that Standard Webhooks recommends
	Version  string        // of this program, for User-Agent

	Now func() time.Time // nil is time.Now
}

// Webhook posts alerts as JSON, signed as Standard Webhooks 1.0.0 says: the body is
//
//	{"type":"minehound.alert.created|updated|closed","timestamp":"…","data":{the alert}}
//
// webhook-id is [Alert.Key], the same on every attempt; webhook-timestamp is the time of the attempt; webhook-signature
// has one v1 signature for each secret. Redirects are not followed. HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honored.
// It makes one attempt: trying again, and surviving a crash, is the spool's part.
type Webhook struct {
	o      WebhookOptions
	url    string
	shown  string // without secrets
	client *http.Client

	mu     sync.Mutex
	closed bool
	stats  Stats
}

// mostAnswer is how much of an answer's body is read, and dropped, to keep the connection.
const mostAnswer = 64 << 10

// NewWebhook checks the options. Its error says which one is wrong and what to do, and holds no secret.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	shown, err := checkURL(o.URL, o.Insecure)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", o.Name, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		if conf.RootCAs, err = readCAs(o.CAFile); err != nil {
			return nil, fmt.Errorf("webhook %s: %w", o.Name, err)
		}
	}
	return &Webhook{
		o: o, url: o.URL, shown: shown, stats: Stats{Sink: o.Name},
		client: &http.Client{
			Timeout:       o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: proxy, TLSClientConfig: conf, ForceAttemptHTTP2: true,
				TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: mostAnswer,
				MaxIdleConns: 1, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute,
			},
		},
	}, nil
}

// checkURL tells how u may be shown. Its errors do not repeat u: any part of it may be the secret.
func checkURL(s string, insecure bool) (shown string, err error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "", errors.New("no URL")
	case err != nil, u.Scheme == "" && u.Host == "", u.Opaque != "":
		return "", errors.New("this is no full URL (begin it with https://)")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("cannot post to a URL of scheme %q (begin it with https://)", Clean(u.Scheme, 32))
	case u.Hostname() == "":
		return "", errors.New("the URL names no host")
	case u.User != nil:
		return "", errors.New("the URL holds a user or a password (sign with a secret instead)")
	case u.Scheme == "http" && !insecure:
		return "", errors.New("the URL is not encrypted (use https://, or say insecure: true for a receiver on this machine)")
	}
	return Redact(u), nil
}

// Redact is u without what may be a secret: user, path and query.
func Redact(u *url.URL) string {
	s := Clean(u.Scheme+"://"+u.Host, 256)
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		s += "/…"
	}
	return s
}

// proxy is the environment's, whose errors would repeat a password in it.
func proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, errors.New("the proxy named by HTTPS_PROXY or HTTP_PROXY is no URL")
	}
	return u, nil
}

func readCAs(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate (it must be PEM: -----BEGIN CERTIFICATE-----)", path)
	}
	return pool, nil
}

// Report posts a once. Its error is a [DeliveryError] or [ErrClosed].
func (w *Webhook) Report(ctx context.Context, a Alert) error {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := w.post(ctx, a)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.stats.Failed++
		w.stats.failed(err, w.o.Now())
		return err
	}
	w.stats.Delivered++
	return nil
}

// message is the body of a request.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Alert     `json:"data"`
}

// messageType is the event as Standard Webhooks names events.
func messageType(s incident.Status) string {
	switch s {
	case incident.Open:
		return "minehound.alert.created"
	case incident.Closed:
		return "minehound.alert.closed"
	default:
		return "minehound.alert.updated"
	}
}

func (w *Webhook) post(ctx context.Context, a Alert) error {
	body, err := json.Marshal(message{messageType(a.Status), a.Time, a})
	if err != nil {
		return w.failure(true, fmt.Errorf("alert %s: %w", a.ID, err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return w.failure(true, errors.New("the request cannot be made"))
	}
	id, now := a.Key(), w.o.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "minehound/"+w.o.Version)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(w.o.Secrets) > 0 {
		req.Header.Set("Webhook-Signature", sign(w.o.Secrets, id, now, body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return w.failure(false, bare(err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, mostAnswer) // the answer's status is all that counts
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return w.refusal(resp, now)
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (w *Webhook) failure(permanent bool, err error) *DeliveryError {
	e := &DeliveryError{Target: w.shown, Permanent: permanent, Err: err}
	var unknown x509.UnknownAuthorityError
	var slow net.Error
	switch {
	case errors.As(err, &unknown):
		e.Hint = "name its authority in ca_file"
	case errors.As(err, &slow) && slow.Timeout():
		e.Hint = fmt.Sprintf("no answer within %s", w.o.Timeout)
	}
	return e
}

// refusal judges an answer that is not 2xx. What is wrong with the message stays wrong: 400, 413, 415, 422; and 410 asks
// to stop, as Standard Webhooks says. Anything else is wrong with the place, the secret or the receiver, which somebody
// mends: until then the alert must wait, not go.
func (w *Webhook) refusal(resp *http.Response, now time.Time) *DeliveryError {
	e := &DeliveryError{Target: w.shown, Status: resp.StatusCode}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		e.Permanent = true
	default:
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	switch c := resp.StatusCode; {
	case c/100 == 3:
		e.Hint = "redirects are not followed: put the new address into the configuration"
	case c == http.StatusUnauthorized, c == http.StatusForbidden:
		e.Hint = "does the receiver have the same secret, and the right time?"
	case c == http.StatusNotFound, c == http.StatusGone:
		e.Hint = "is the address still right?"
	case c == http.StatusRequestEntityTooLarge:
		e.Hint = "the receiver wants smaller messages"
	}
	return e
}

// mostRetryAfter bounds what a receiver may ask for.
const mostRetryAfter = time.Hour

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), mostRetryAfter)
}

// Close lets go of idle connections.
func (w *Webhook) Close(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.client.CloseIdleConnections()
	return nil
}

// Stats tells how the webhook is doing.
func (w *Webhook) Stats() []Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []Stats{w.stats}
}
