package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"authurl/deploy/gateway/gen/authurlv1"
)

// How many configurations a page lists.
const networksPageSize = 100

// catalog is every network that the server knows; nil where the page was answered already.
func (v *visit) catalog() names {
	reply, err := v.urls.ListNetworks(v.ctx(), &authurlv1.ListNetworksRequest{})
	if err != nil {
		v.fail(err)
		return nil
	}
	known := names{}
	for _, network := range reply.GetNetworks() {
		known[network.GetId()] = network
	}
	return known
}

// titleOf is what a configuration is called: the network's name, and what tells it from others of that network.
func (n names) titleOf(c *authurlv1.SocialNetwork) string {
	title := n.place(c)
	if c.GetName() != "" {
		title += " · " + c.GetName()
	}
	return title
}

type networkRow struct {
	*authurlv1.SocialNetwork
	Title string
	// The catalog no longer has the network.
	Outdated bool
}

type networksPage struct {
	Rows       []networkRow
	Unreadable []string
	Next       string
	IsFirst    bool
}

func (v *visit) listNetworks() {
	token := v.query().Get("page")
	reply, err := v.networks.ListSocialNetworks(v.ctx(), &authurlv1.ListSocialNetworksRequest{PageSize: networksPageSize, PageToken: token})
	if err != nil {
		v.fail(err)
		return
	}
	known := v.catalog()
	if known == nil {
		return
	}
	p := networksPage{Unreadable: reply.GetUnreadableIds(), Next: reply.GetNextPageToken(), IsFirst: token == ""}
	for _, c := range reply.GetSocialNetworks() {
		p.Rows = append(p.Rows, networkRow{c, known.titleOf(c), known[c.GetNetwork()] == nil})
	}
	slices.SortStableFunc(p.Rows, func(a, b networkRow) int {
		return cmp.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
	})
	v.show(http.StatusOK, "networks", page{Title: "Networks", Section: "networks", Body: p})
}

type catalogPage struct {
	Query string
	// Those that can be configured, and those that can't, which say what to do instead.
	Can, Cannot []*authurlv1.Network
}

func canConfigure(n *authurlv1.Network) bool {
	return n.GetStatus() == authurlv1.Network_STATUS_LIVE || n.GetStatus() == authurlv1.Network_STATUS_LEGACY
}

func (v *visit) listCatalog() {
	reply, err := v.urls.ListNetworks(v.ctx(), &authurlv1.ListNetworksRequest{})
	if err != nil {
		v.fail(err)
		return
	}
	p := catalogPage{Query: strings.TrimSpace(v.query().Get("q"))}
	for _, network := range reply.GetNetworks() {
		if !hasWords(network, strings.ToLower(p.Query)) {
			continue
		}
		if canConfigure(network) {
			p.Can = append(p.Can, network)
		} else {
			p.Cannot = append(p.Cannot, network)
		}
	}
	v.show(http.StatusOK, "catalog", page{Title: "Add a network", Section: "networks", Body: p})
}

func hasWords(n *authurlv1.Network, query string) bool {
	text := n.GetId() + " " + n.GetDisplayName()
	for _, variant := range n.GetVariants() {
		text += " " + variant.GetId() + " " + variant.GetDisplayName()
	}
	text = strings.ToLower(text)
	for word := range strings.FieldsSeq(query) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// configuration is the one that the path names, with its network, which the catalog may no longer have; false where the
// page was answered already.
func (v *visit) configuration() (*authurlv1.SocialNetwork, names, bool) {
	reply, err := v.networks.GetSocialNetwork(v.ctx(), &authurlv1.GetSocialNetworkRequest{Id: v.r.PathValue("id")})
	if err != nil {
		v.fail(err)
		return nil, nil, false
	}
	known := v.catalog()
	return reply.GetSocialNetwork(), known, known != nil
}

type networkPage struct {
	Config  *authurlv1.SocialNetwork
	Title   string
	Network *authurlv1.Network
	// As ExplainAuthUrl tells them: the redirect URI to enter in the portal, and what may still disappoint.
	RedirectURI string
	Warnings    []string
	// Why no URL can be handed out, where that is so.
	Trouble *Problem
	Try     tryForm
}

func (v *visit) showNetwork() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	p := networkPage{Config: c, Title: known.titleOf(c), Network: known[c.GetNetwork()], Try: newTryForm(networksPath+"/"+c.GetId()+"/try", true, true)}
	request := &authurlv1.ExplainAuthUrlRequest{Network: c.GetNetwork(), Configuration: &c.Id}
	if c.GetInstance() != "" {
		request.Instance = &c.Instance
	}
	// The explanation is that of a request without one.
	if c.GetSessionBindingPolicy() == authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED {
		request.SessionBinding = new(v.cookies.binding(v.session))
	}
	reply, err := v.urls.ExplainAuthUrl(v.ctx(), request)
	if err != nil {
		problem, ok := v.explain(err)
		if !ok {
			return
		}
		p.Trouble = &problem
	}
	p.RedirectURI, p.Warnings = redirectURIOf(reply), reply.GetWarnings()
	v.show(http.StatusOK, "network", page{Title: p.Title, Section: "networks", Body: p})
}

// redirectURIOf is where the network sends the browser back to.
func redirectURIOf(reply *authurlv1.ExplainAuthUrlResponse) string {
	for _, parameter := range reply.GetParameters() {
		if parameter.GetName() == "redirect_uri" {
			return parameter.GetValue()
		}
	}
	return ""
}

func (v *visit) newNetwork() {
	network, kind, ok := v.chosenNetwork()
	if !ok {
		return
	}
	f := newNetworkForm(network, kind)
	f.fill(settings{})
	f.canBeReturnedTo(true)
	v.showForm(http.StatusOK, f, nil)
}

// chosenNetwork is the network of the path and the variant of the query; false where the page was answered already.
func (v *visit) chosenNetwork() (*authurlv1.Network, string, bool) {
	known := v.catalog()
	if known == nil {
		return nil, "", false
	}
	network := known[v.r.PathValue("network")]
	variant := v.query().Get("variant")
	if network == nil || !canConfigure(network) ||
		variant != "" && !slices.ContainsFunc(network.GetVariants(), func(each *authurlv1.NetworkVariant) bool { return each.GetId() == variant }) {
		v.notFound()
		return nil, "", false
	}
	return network, variant, true
}

func (v *visit) showForm(status int, f *networkForm, problem *Problem) {
	v.show(status, "network_form", page{Title: f.Title, Section: "networks", Problem: problem, Body: f})
}

// refuseForm shows the form again with what is wrong, and what was entered but for secrets.
func (v *visit) refuseForm(f *networkForm, err error) {
	problem, ok := v.explain(err)
	if !ok {
		return
	}
	f.tell(&problem)
	v.showForm(problem.Status, f, &problem)
}

func (v *visit) createNetwork() {
	network, variant, ok := v.chosenNetwork()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	f := newNetworkForm(network, variant)
	entered := f.read(form, v.origin())
	reply, err := v.networks.CreateSocialNetwork(v.ctx(), entered.creation(network.GetId(), variant))
	if err != nil {
		v.refuseForm(f, err)
		return
	}
	v.redirect(networksPath+"/"+reply.GetSocialNetwork().GetId(), &notice{
		Text: network.GetDisplayName() + " is configured. Try a connection below.", Warnings: reply.GetWarnings()})
}

func (v *visit) formFor(c *authurlv1.SocialNetwork, known names) *networkForm {
	network := known[c.GetNetwork()]
	if network == nil {
		v.refuse(Problem{Status: http.StatusConflict, Code: "CONFIGURATION_OUTDATED",
			Message: "The server's catalog no longer has this network: the configuration can be deleted, but not changed."})
		return nil
	}
	f := newNetworkForm(network, c.GetVariant())
	f.edits(c, known.titleOf(c))
	return f
}

func (v *visit) editNetwork() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	if f := v.formFor(c, known); f != nil {
		f.fill(settingsOf(c))
		v.showForm(http.StatusOK, f, nil)
	}
}

func (v *visit) updateNetwork() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	f := v.formFor(c, known)
	if f == nil {
		return
	}
	update := f.read(form, v.origin()).changes(c)
	here := networksPath + "/" + c.GetId()
	if len(update.GetUpdateMask().GetPaths()) == 0 {
		v.redirect(here, &notice{Text: "Nothing was changed."})
		return
	}
	reply, err := v.networks.UpdateSocialNetwork(v.ctx(), update)
	if err != nil {
		v.refuseForm(f, err)
		return
	}
	v.redirect(here, &notice{Text: "The changes are saved.", Warnings: reply.GetWarnings()})
}

type secretPage struct {
	Config *authurlv1.SocialNetwork
	Title  string
	Secret input
}

func (p secretPage) faults() []input { return faulty(p.Secret) }

func (v *visit) secretPage() (secretPage, bool) {
	c, known, ok := v.configuration()
	if !ok {
		return secretPage{}, false
	}
	return secretPage{c, known.titleOf(c), secretInput(known[c.GetNetwork()], "The new one")}, true
}

func (v *visit) askForSecret() {
	if p, ok := v.secretPage(); ok {
		v.show(http.StatusOK, "secret", page{Title: "Replace the secret of " + p.Title, Section: "networks", Body: p})
	}
}

func (v *visit) rotateSecret() {
	p, ok := v.secretPage()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	secret := secretIn(form)
	reply, err := v.networks.UpdateSocialNetwork(v.ctx(), &authurlv1.UpdateSocialNetworkRequest{Id: p.Config.GetId(), ClientSecret: &secret})
	if err != nil {
		problem, ok := v.explain(err)
		if !ok {
			return
		}
		problem.Faults = p.Secret.take(problem.Faults, "client_secret")
		v.show(problem.Status, "secret", page{Title: "Replace the secret of " + p.Title, Section: "networks", Problem: &problem, Body: p})
		return
	}
	v.redirect(networksPath+"/"+p.Config.GetId(), &notice{Warnings: reply.GetWarnings(),
		Text: "The secret is replaced. Flows that began before can still end with the old one."})
}

func (v *visit) makeDefault() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	_, err := v.networks.UpdateSocialNetwork(v.ctx(), &authurlv1.UpdateSocialNetworkRequest{Id: c.GetId(), IsDefault: new(true)})
	if err != nil {
		v.fail(err)
		return
	}
	v.redirect(networksPath+"/"+c.GetId(), &notice{Text: known.titleOf(c) + " is now the default: requests that name no configuration get it."})
}

type deletePage struct {
	Config *authurlv1.SocialNetwork
	Title  string
	// Accounts are connected by it: it has to be said what becomes of them.
	InUse bool
}

func (v *visit) confirmDelete() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	// One tells whether there are any.
	accounts, err := v.accounts.ListSocialAccounts(v.ctx(), &authurlv1.ListSocialAccountsRequest{PageSize: 1, SocialNetworkId: &c.Id})
	if err != nil {
		v.fail(err)
		return
	}
	v.showDelete(http.StatusOK, deletePage{c, known.titleOf(c), len(accounts.GetAccounts())+len(accounts.GetUnreadableIds()) > 0}, nil)
}

func (v *visit) showDelete(status int, p deletePage, problem *Problem) {
	v.show(status, "network_delete", page{Title: "Delete " + p.Title, Section: "networks", Problem: problem, Body: p})
}

func (v *visit) deleteNetwork() {
	c, known, ok := v.configuration()
	if !ok {
		return
	}
	form, ok := v.form()
	if !ok {
		return
	}
	request := &authurlv1.DeleteSocialNetworkRequest{Id: c.GetId()}
	switch form.Get("accounts") {
	case "disconnect":
		request.Accounts = authurlv1.DeleteSocialNetworkRequest_ACCOUNTS_DISCONNECT
	case "keep":
		request.Accounts = authurlv1.DeleteSocialNetworkRequest_ACCOUNTS_KEEP_UNTIL_EXPIRY
	}
	if err := v.deletePatiently(request); err != nil {
		problem, ok := v.explain(err)
		if !ok {
			return
		}
		v.showDelete(problem.Status, deletePage{c, known.titleOf(c), problem.Code == "CONFIGURATION_IN_USE" || form.Has("accounts")}, &problem)
		return
	}
	v.redirect(networksPath, &notice{Text: known.titleOf(c) + " is deleted."})
}

const (
	// How long a deletion waits for consents to be revoked, and how long before it asks again.
	revocationPatience = 8 * time.Second
	revocationPause    = 250 * time.Millisecond
)

// deletePatiently asks again while accounts are being disconnected, which mostly takes the network a moment.
func (v *visit) deletePatiently(request *authurlv1.DeleteSocialNetworkRequest) error {
	for giveUp := time.Now().Add(revocationPatience); ; {
		_, err := v.networks.DeleteSocialNetwork(v.ctx(), request)
		if status.Code(err) != codes.Aborted || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-time.After(revocationPause):
		case <-v.r.Context().Done():
			return err
		}
	}
}
