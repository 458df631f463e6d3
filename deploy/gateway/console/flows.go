package console

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

// tryForm begins a flow: a trial, or one that connects an account again.
type tryForm struct {
	Action string
	// Of a trial; who connects again has one.
	Tenant *input
	// It is what is to be done next.
	IsUrgent bool
}

func newTryForm(action string, isTrial, isUrgent bool) tryForm {
	f := tryForm{Action: action, IsUrgent: isUrgent}
	if isTrial {
		f.Tenant = &input{Name: "tenant", Label: "Tenant", Kind: "text",
			Hint: "Your own id of whom the account belongs to: A-Z, a-z, 0-9, _ and -. May be empty."}
	}
	return f
}

// linkPage leads to the network by a link: a form may not, by the policy of these pages.
type linkPage struct {
	Title, Back string
	// Of the network, which is where the person signs in.
	Host, URL, RedirectURI string
	// "": somebody else opens it.
	FlowID  string
	ForMe   bool
	Expires *timestamppb.Timestamp
}

// permitPage asks whether the console's address may be added to the return URIs.
type permitPage struct {
	Title, Back, Action, Tenant, Address string
}

func (v *visit) tryConnection() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	v.begin(c, form, &authurlv1.GetAuthUrlRequest{TenantId: orNil(form.Get("tenant"))}, linkPage{
		Title: "Connect an account of " + known.titleOf(c), Back: networksPath + "/" + c.GetId()})
}

func (v *visit) reconnect() {
	account, ok := v.account()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	id := account.GetId()
	reply, err := v.networks.GetSocialNetwork(v.ctx(), &authurlv1.GetSocialNetworkRequest{Id: account.GetSocialNetworkId()})
	if err != nil {
		v.fail(err)
		return
	}
	v.begin(reply.GetSocialNetwork(), form, &authurlv1.GetAuthUrlRequest{ReconnectAccountId: &id, TenantId: orNil(account.GetTenantId())}, linkPage{
		Title: "Connect " + accountName(account) + " again", Back: accountsPath + "/" + id})
}

// begin mints the URL of a flow with the configuration, and shows the link. A flow of whoever is signed in comes back to
// the console; somebody else's goes where those of the organisation always go.
func (v *visit) begin(c *authurlv1.SocialNetwork, form url.Values, request *authurlv1.GetAuthUrlRequest, p linkPage) {
	request.Network, request.Configuration = c.GetNetwork(), &c.Id
	if c.GetInstance() != "" {
		request.Instance = &c.Instance
	}
	p.ForMe = form.Get("who") != "other"
	if p.ForMe {
		here := v.origin() + returnedPath
		if !slices.Contains(c.GetAllowedReturnUris(), here) {
			if !form.Has("permit") {
				v.show(http.StatusOK, "permit", page{Title: p.Title, Section: "networks",
					Body: permitPage{p.Title, p.Back, v.r.URL.Path, form.Get("tenant"), here}})
				return
			}
			_, err := v.networks.UpdateSocialNetwork(v.ctx(), &authurlv1.UpdateSocialNetworkRequest{Id: c.GetId(),
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"allowed_return_uris"}}, AllowedReturnUris: append(c.GetAllowedReturnUris(), here)})
			if err != nil {
				v.fail(err)
				return
			}
		}
		request.ReturnUri = &here
	}
	// Whoever has it must finish here: the console asks for it, and has no other to give.
	if c.GetSessionBindingPolicy() == authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED {
		request.SessionBinding = new(v.cookies.binding(v.session))
	}
	reply, err := v.urls.GetAuthUrl(v.ctx(), request)
	if err != nil {
		v.fail(err)
		return
	}
	p.URL, p.FlowID, p.Expires = reply.GetAuthUrl(), reply.GetFlowId(), reply.GetExpiresAt()
	if parsed, err := url.Parse(p.URL); err == nil {
		p.Host = parsed.Hostname()
		p.RedirectURI = parsed.Query().Get("redirect_uri")
	}
	v.show(http.StatusOK, "link", page{Title: p.Title, Section: "networks", Body: p})
}

// What GetAuthUrl hands out.
var flowIDShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// returned is where flows come back to. The browser comes from another site and so without the session's cookie, which
// it sends again once a page of the console leads it on. Of what is in the query only the flow's id is used: how the
// flow went, the server says.
func (h *Handler) returned(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("flow_id")
	next := networksPath
	if flowIDShape.MatchString(id) {
		next = flowsPath + "/" + id
	}
	// The address of this page may have a session token in it.
	w.Header().Set("Referrer-Policy", "no-referrer")
	h.pages.write(w, http.StatusOK, "returned", page{Title: "Welcome back", Body: next})
}

type flowPage struct {
	ID       string
	Flow     *authurlv1.GetAuthFlowResponse
	Status   string
	Accounts []accountRow
	Choice   *input
}

func (p flowPage) faults() []input {
	if p.Choice == nil {
		return nil
	}
	return faulty(*p.Choice)
}

// How many of the accounts that a flow connected are shown with their names.
const maxAccountsShown = 20

// flow asks how the flow of the path stands; false where the page was answered already.
func (v *visit) flow() (flowPage, bool) {
	p := flowPage{ID: v.r.PathValue("flow")}
	if !flowIDShape.MatchString(p.ID) {
		v.notFound()
		return p, false
	}
	reply, err := v.accounts.GetAuthFlow(v.ctx(), &authurlv1.GetAuthFlowRequest{FlowId: p.ID})
	if err != nil {
		v.fail(err)
		return p, false
	}
	p.Flow = reply
	p.Status = reply.GetStatus().String()
	if reply.GetStatus() == authurlv1.GetAuthFlowResponse_STATUS_NEEDS_CHOICE {
		p.Choice = &input{Name: "choice", Label: "What is to be connected", Kind: "choices"}
	}
	return p, true
}

var flowTitles = map[authurlv1.GetAuthFlowResponse_Status]string{
	authurlv1.GetAuthFlowResponse_STATUS_PENDING:      "Waiting for the person",
	authurlv1.GetAuthFlowResponse_STATUS_COMPLETING:   "Just being completed",
	authurlv1.GetAuthFlowResponse_STATUS_NEEDS_CHOICE: "Choose what to connect",
	authurlv1.GetAuthFlowResponse_STATUS_COMPLETED:    "Connected",
	authurlv1.GetAuthFlowResponse_STATUS_FAILED:       "Not connected",
	authurlv1.GetAuthFlowResponse_STATUS_EXPIRED:      "Too late",
}

func (v *visit) showFlow() {
	p, ok := v.flow()
	if !ok {
		return
	}
	known := v.catalog()
	if known == nil {
		return
	}
	var accounts []*authurlv1.SocialAccount
	ids := p.Flow.GetAccountIds()
	for _, id := range ids[:min(len(ids), maxAccountsShown)] {
		reply, err := v.accounts.GetSocialAccount(v.ctx(), &authurlv1.GetSocialAccountRequest{Id: id})
		if err == nil {
			accounts = append(accounts, reply.GetAccount())
			continue
		}
		// It may have been disconnected since.
		if problem, ok := v.explain(err); !ok {
			return
		} else if problem.Status != http.StatusNotFound {
			v.refuse(problem)
			return
		}
	}
	p.Accounts = known.accountRows(accounts)
	v.writeFlow(http.StatusOK, p, nil)
}

func (v *visit) writeFlow(status int, p flowPage, problem *Problem) {
	title := flowTitles[p.Flow.GetStatus()]
	if title == "" {
		title = "A connection"
	}
	v.show(status, "flow", page{Title: title, Section: "networks", Problem: problem, Body: p})
}

func (v *visit) choose() {
	form, ok := v.form()
	if !ok {
		return
	}
	p, ok := v.flow()
	if !ok {
		return
	}
	here := flowsPath + "/" + p.ID
	request := &authurlv1.FinalizePendingConnectionRequest{FlowId: p.ID, ChoiceIds: form["choice"]}
	if len(request.ChoiceIds) == 0 && p.Choice != nil {
		p.Choice.Errors = []string{"Choose at least one."}
		v.writeFlow(http.StatusBadRequest, p, &Problem{Status: http.StatusBadRequest, Message: "Nothing is connected yet."})
		return
	}
	_, err := v.accounts.FinalizePendingConnection(v.ctx(), request)
	problem := Problem{}
	if err != nil {
		if problem, ok = v.explain(err); !ok {
			return
		}
	}
	// Flows that had to be bound are bound to the session that began them.
	if problem.Code == "SESSION_BINDING_MISMATCH" {
		request.SessionBinding = new(v.cookies.binding(v.session))
		if _, err = v.accounts.FinalizePendingConnection(v.ctx(), request); err != nil {
			if problem, ok = v.explain(err); !ok {
				return
			}
		}
	}
	if err != nil {
		v.writeFlow(problem.Status, p, &problem)
		return
	}
	v.redirect(here, nil)
}
