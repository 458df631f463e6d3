package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"authurl/deploy/gateway/gen/authurlv1"
)

// How many accounts a page lists.
const accountsPageSize = 50

type accountsPage struct {
	Tenant, Network, Username string
	Networks                  []option
	// Of the page, by tenant.
	Groups     []tenantGroup
	Total      *int64
	Unreadable []string
	// The query of the next page; empty on the last one.
	Next       string
	IsFiltered bool
	IsFirst    bool
}

type tenantGroup struct {
	Tenant   string
	Accounts []accountRow
}

func (v *visit) listAccounts() {
	given := v.query()
	p := accountsPage{Tenant: strings.TrimSpace(given.Get("tenant")), Network: given.Get("network"),
		Username: strings.TrimPrefix(strings.TrimSpace(given.Get("username")), "@"), IsFirst: given.Get("page") == ""}
	p.IsFiltered = p.Tenant+p.Network+p.Username != ""
	request := &authurlv1.ListSocialAccountsRequest{PageSize: accountsPageSize, PageToken: given.Get("page"), TenantId: orNil(p.Tenant),
		Network: orNil(p.Network), Username: orNil(p.Username), CountTotal: p.IsFirst && p.Username == ""}
	reply, err := v.accounts.ListSocialAccounts(v.ctx(), request)
	if err != nil {
		problem, ok := v.explain(err)
		if !ok {
			return
		}
		if known := v.catalog(); known != nil {
			v.showAccounts(problem.Status, p, known, &problem)
		}
		return
	}
	known := v.catalog()
	if known == nil {
		return
	}
	p.Groups = byTenant(known.accountRows(reply.GetAccounts()))
	p.Total, p.Unreadable = reply.Total, reply.GetUnreadableIds()
	if token := reply.GetNextPageToken(); token != "" {
		p.Next = query("tenant", p.Tenant, "network", p.Network, "username", p.Username, "page", token)
	}
	v.showAccounts(http.StatusOK, p, known, nil)
}

func (v *visit) showAccounts(status int, p accountsPage, known names, problem *Problem) {
	for id, network := range known {
		p.Networks = append(p.Networks, option{id, network.GetDisplayName()})
	}
	slices.SortFunc(p.Networks, func(a, b option) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label)), cmp.Compare(a.Value, b.Value))
	})
	v.show(status, "accounts", page{Title: "Accounts", Section: "accounts", Problem: problem, Body: p})
}

func byTenant(accounts []accountRow) []tenantGroup {
	sorted := slices.Clone(accounts)
	slices.SortStableFunc(sorted, func(a, b accountRow) int { return cmp.Compare(a.GetTenantId(), b.GetTenantId()) })
	var groups []tenantGroup
	for _, account := range sorted {
		if n := len(groups); n == 0 || groups[n-1].Tenant != account.GetTenantId() {
			groups = append(groups, tenantGroup{Tenant: account.GetTenantId()})
		}
		last := &groups[len(groups)-1]
		last.Accounts = append(last.Accounts, account)
	}
	return groups
}

type accountPage struct {
	Account *authurlv1.SocialAccount
	Name    string
	Place   string
	Events  []eventRow
	Try     tryForm
}

// account is the one that the path names; false where the page was answered already.
func (v *visit) account() (*authurlv1.SocialAccount, bool) {
	reply, err := v.accounts.GetSocialAccount(v.ctx(), &authurlv1.GetSocialAccountRequest{Id: v.r.PathValue("id")})
	if err != nil {
		v.fail(err)
		return nil, false
	}
	return reply.GetAccount(), true
}

func (v *visit) showAccount() {
	account, ok := v.account()
	if !ok {
		return
	}
	found, err := v.recentEvents(eventFilter{account: account.GetId()}, "")
	if err != nil {
		v.fail(err)
		return
	}
	known := v.catalog()
	if known == nil {
		return
	}
	p := accountPage{Account: account, Name: accountName(account), Place: known.place(account), Events: known.eventRows(found.Events),
		Try: newTryForm(accountsPath+"/"+account.GetId()+"/reconnect", false, account.GetStatus() != authurlv1.SocialAccount_STATUS_ACTIVE)}
	v.show(http.StatusOK, "account", page{Title: p.Name, Section: "accounts", Body: p})
}

func (v *visit) checkAccount() {
	id := v.r.PathValue("id")
	reply, err := v.accounts.CheckSocialAccount(v.ctx(), &authurlv1.CheckSocialAccountRequest{Id: id})
	if err != nil {
		v.fail(err)
		return
	}
	n := notice{Text: "The network confirms that the connection works."}
	if !reply.GetHealthy() {
		n = notice{Text: "The connection no longer works: the person must connect again.", Bad: true}
	}
	v.redirect(accountsPath+"/"+id, &n)
}

type disconnectPage struct {
	Account *authurlv1.SocialAccount
	Name    string
}

func (v *visit) confirmDisconnect() {
	if account, ok := v.account(); ok {
		name := accountName(account)
		v.show(http.StatusOK, "disconnect", page{Title: "Disconnect " + name, Section: "accounts", Body: disconnectPage{account, name}})
	}
}

func (v *visit) disconnect() {
	account, ok := v.account()
	if !ok {
		return
	}
	reply, err := v.accounts.DeleteSocialAccount(v.ctx(), &authurlv1.DeleteSocialAccountRequest{Id: account.GetId()})
	if err != nil {
		v.fail(err)
		return
	}
	text := accountName(account) + " is disconnected. " + revocationSentence(reply.GetRevocation())
	v.redirect(accountsPath+query("tenant", account.GetTenantId()), &notice{Text: strings.TrimSpace(cut(text, 400))})
}
