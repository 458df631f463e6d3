package console

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"authurl/deploy/gateway/gen/authurlv1"
)

// settings are what a form has of a configuration.
type settings struct {
	instance, clientKey, clientSecret, name   string
	defaultRedirectURI, defaultReturnURI      string
	allowedRedirectURIs, allowedReturnURIs    []string
	scopes                                    []string
	extraParams, variables                    map[string]string
	bindingRequired, returnProfile, isDefault bool
}

func settingsOf(c *authurlv1.SocialNetwork) settings {
	return settings{instance: c.GetInstance(), clientKey: c.GetClientKey(), name: c.GetName(),
		defaultRedirectURI: c.GetDefaultRedirectUri(), defaultReturnURI: c.GetDefaultReturnUri(),
		allowedRedirectURIs: c.GetAllowedRedirectUris(), allowedReturnURIs: c.GetAllowedReturnUris(), scopes: c.GetScopes(),
		extraParams: c.GetExtraParams(), variables: c.GetVariables(),
		bindingRequired: c.GetSessionBindingPolicy() == authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED,
		returnProfile:   c.GetReturnProfile()}
}

// orNil is for fields that are either not there or not empty.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s settings) policy() *authurlv1.SessionBindingPolicy {
	if !s.bindingRequired {
		return nil
	}
	return authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED.Enum()
}

func (s settings) creation(network, variant string) *authurlv1.CreateSocialNetworkRequest {
	request := &authurlv1.CreateSocialNetworkRequest{Network: network, Variant: orNil(variant), Instance: orNil(s.instance),
		ClientKey: s.clientKey, ClientSecret: s.clientSecret, Name: orNil(s.name),
		DefaultRedirectUri: orNil(s.defaultRedirectURI), DefaultReturnUri: orNil(s.defaultReturnURI),
		AllowedRedirectUris: s.allowedRedirectURIs, AllowedReturnUris: s.allowedReturnURIs, Scopes: s.scopes,
		ExtraParams: s.extraParams, Variables: s.variables, SessionBindingPolicy: s.policy()}
	if s.isDefault {
		request.IsDefault = &s.isDefault
	}
	if s.returnProfile {
		request.ReturnProfile = &s.returnProfile
	}
	return request
}

// changes is the update that makes the configuration what was entered, and names nothing else: what somebody else
// changes meanwhile stays.
func (s settings) changes(c *authurlv1.SocialNetwork) *authurlv1.UpdateSocialNetworkRequest {
	was := settingsOf(c)
	update := &authurlv1.UpdateSocialNetworkRequest{Id: c.GetId(), UpdateMask: &fieldmaskpb.FieldMask{}}
	change := func(field string, changed bool) bool {
		if changed {
			update.UpdateMask.Paths = append(update.UpdateMask.Paths, field)
		}
		return changed
	}
	if change("client_key", s.clientKey != was.clientKey) {
		update.ClientKey = &s.clientKey
	}
	if change("name", s.name != was.name) {
		update.Name = orNil(s.name)
	}
	if change("default_redirect_uri", s.defaultRedirectURI != was.defaultRedirectURI) {
		update.DefaultRedirectUri = orNil(s.defaultRedirectURI)
	}
	if change("default_return_uri", s.defaultReturnURI != was.defaultReturnURI) {
		update.DefaultReturnUri = orNil(s.defaultReturnURI)
	}
	if change("allowed_redirect_uris", !slices.Equal(s.allowedRedirectURIs, was.allowedRedirectURIs)) {
		update.AllowedRedirectUris = s.allowedRedirectURIs
	}
	if change("allowed_return_uris", !slices.Equal(s.allowedReturnURIs, was.allowedReturnURIs)) {
		update.AllowedReturnUris = s.allowedReturnURIs
	}
	if change("scopes", !slices.Equal(s.scopes, was.scopes)) {
		update.Scopes = s.scopes
	}
	if change("extra_params", !maps.Equal(s.extraParams, was.extraParams)) {
		update.ExtraParams = s.extraParams
	}
	if change("variables", !maps.Equal(s.variables, was.variables)) {
		update.Variables = s.variables
	}
	if change("session_binding_policy", s.bindingRequired != was.bindingRequired) {
		update.SessionBindingPolicy = s.policy()
	}
	if change("return_profile", s.returnProfile != was.returnProfile) {
		update.ReturnProfile = &s.returnProfile
	}
	return update
}

// networkForm is the form of a configuration, made of what the catalog says of its network.
type networkForm struct {
	Title   string
	Network *authurlv1.Network
	// The one that the app is made for; empty for the network's own kind.
	Variant string
	// Set for one that is there already.
	Config *authurlv1.SocialNetwork
	Action string
	Groups []inputGroup
	// Of the chosen kind.
	RedirectRules string
}

type inputGroup struct {
	Legend, Hint string
	Inputs       []input
	// Few need it: closed, unless something in it is wrong.
	Folded bool
}

func (g inputGroup) IsOpen() bool { return !g.Folded || len(faulty(g.Inputs...)) > 0 }

const (
	paramPrefix    = "param."
	variablePrefix = "var."
)

// kindOfApp is what the catalog says of the network, or of the variant in its place.
type kindOfApp interface {
	GetDefaultScopes() []string
	GetVariables() []*authurlv1.NetworkVariable
	GetConfigurationParams() []*authurlv1.NetworkParameter
	GetRedirectUriRules() *authurlv1.RedirectUriRules
	GetConnection() *authurlv1.NetworkConnection
}

func kindOfNetwork(n *authurlv1.Network, variant string) kindOfApp {
	for _, each := range n.GetVariants() {
		if each.GetId() == variant {
			return each
		}
	}
	return n
}

func secretInput(n *authurlv1.Network, hint string) input {
	label := n.GetClientSecretLabel()
	if label == "" {
		label = "Client secret"
	}
	return input{Name: "client_secret", Label: label, Kind: "secret", Hint: hint + ". Stored encrypted, and never shown again."}
}

// secretIn: a key of several lines comes from a form with \r\n, and often with an empty line at its end.
func secretIn(form url.Values) string {
	return strings.TrimSpace(strings.ReplaceAll(form.Get("client_secret"), "\r\n", "\n"))
}

func newNetworkForm(n *authurlv1.Network, variant string) *networkForm {
	kind := kindOfNetwork(n, variant)
	f := &networkForm{Title: "Configure " + n.GetDisplayName(), Network: n, Variant: variant,
		Action: catalogPath + "/" + n.GetId() + query("variant", variant), RedirectRules: kind.GetRedirectUriRules().GetDescription()}

	app := inputGroup{Legend: "The app, as the network's portal shows it"}
	if n.GetHasInstances() {
		app.Inputs = append(app.Inputs, input{Name: "instance", Label: "Instance", Kind: "text", Required: true,
			Hint: "The host name of the instance that the app is registered at, such as social.example.com."})
	}
	keyLabel := n.GetClientKeyLabel()
	if keyLabel == "" {
		keyLabel = "Client key"
	}
	secret := secretInput(n, "As the portal shows it")
	secret.Required = !kind.GetConnection().GetPublicClients()
	if !secret.Required {
		secret.Hint = "As the portal shows it; an app without one leaves this empty. Stored encrypted, and never shown again."
	}
	app.Inputs = append(app.Inputs, input{Name: "client_key", Label: keyLabel, Kind: "text", Required: true, Hint: "In the API it is client_key."}, secret)

	more := inputGroup{Legend: "Scopes and parameters", Folded: true, Inputs: []input{{Name: "scopes", Label: "Scopes", Kind: "lines",
		Hint: "One on each line. Empty: the defaults, " + orDash(strings.Join(kind.GetDefaultScopes(), ", ")) + "."}}}
	for _, parameter := range kind.GetConfigurationParams() {
		field := input{Name: paramPrefix + parameter.GetName(), Label: parameter.GetName(), Kind: "text", Required: parameter.GetRequired(),
			Hint: sentence(parameter.GetDescription()), Placeholder: parameter.GetDefaultValue()}
		if field.Required {
			app.Inputs = append(app.Inputs, field)
		} else {
			more.Inputs = append(more.Inputs, field)
		}
	}
	for _, variable := range kind.GetVariables() {
		more.Inputs = append(more.Inputs, input{Name: variablePrefix + variable.GetName(), Label: variable.GetName(), Kind: "text",
			Hint: sentence(variable.GetDescription()), Placeholder: variable.GetDefaultValue()})
	}
	more.Inputs = append(more.Inputs, input{Name: "extra_params", Label: "Further parameters", Kind: "lines",
		Hint: "Of the authorization URL: name=value, one on each line."})

	back := inputGroup{Legend: "Where the person comes back to", Hint: "Left empty, the person comes back to authurl's own callback, which completes the connection.",
		Inputs: []input{
			{Name: "console_returns", Label: "Connections may be tried from this console", Kind: "check",
				Hint: "Adds the console's own address to the return URIs below."},
			{Name: "allowed_return_uris", Label: "Return URIs", Kind: "lines",
				Hint: "Pages of yours to which authurl's own callback may send the browser on: one on each line. A request names one of them."},
			{Name: "default_return_uri", Label: "Default return URI", Kind: "url", Hint: "For requests that name none."},
		}}
	own := inputGroup{Legend: "A callback of your own", Folded: true, Hint: "Then the network sends the person to your page, and no name but yours is seen.",
		Inputs: []input{
			{Name: "default_redirect_uri", Label: "Default redirect URI", Kind: "url", Hint: "For requests that name none."},
			{Name: "allowed_redirect_uris", Label: "Allowed redirect URIs", Kind: "lines",
				Hint: "One on each line. Empty: any that the network takes."},
		}}
	rules := inputGroup{Legend: "Name and rules", Folded: true, Inputs: []input{
		{Name: "name", Label: "Name", Kind: "text", Hint: "Tells several apps of one network apart, such as brand_b: a-z, 0-9, _ and -."},
		{Name: "is_default", Label: "Make it the default of this network", Kind: "check", Hint: "Requests that name no configuration get it. The first one is."},
		{Name: "session_binding_policy", Label: "Require a session binding", Kind: "check",
			Hint: "Nobody can then complete a flow in somebody else's browser. Requests without one are refused."},
		{Name: "return_profile", Label: "Tell return URIs who connected", Kind: "check",
			Hint: "Adds the account's username and id at the network to the address that the browser is sent to."},
	}}
	f.Groups = []inputGroup{app, back, more, own, rules}
	return f
}

func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

func orDash(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// edits turns it into the form of one that is there: what can't be changed is not in it.
func (f *networkForm) edits(c *authurlv1.SocialNetwork, title string) {
	f.Config, f.Title, f.Action = c, "Edit "+title, networksPath+"/"+c.GetId()+"/edit"
	for i := range f.Groups {
		f.Groups[i].Inputs = slices.DeleteFunc(f.Groups[i].Inputs, func(each input) bool {
			return slices.Contains([]string{"instance", "client_secret", "is_default", "console_returns"}, each.Name)
		})
	}
}

func (f *networkForm) each(do func(*input)) {
	for i := range f.Groups {
		for j := range f.Groups[i].Inputs {
			do(&f.Groups[i].Inputs[j])
		}
	}
}

func (f *networkForm) canBeReturnedTo(on bool) {
	f.each(func(field *input) {
		if field.Name == "console_returns" {
			field.On = on
		}
	})
}

// fill shows what is set. Secrets are not.
func (f *networkForm) fill(s settings) {
	others := maps.Clone(s.extraParams)
	f.each(func(field *input) {
		if name, found := strings.CutPrefix(field.Name, paramPrefix); found {
			field.Value = s.extraParams[name]
			delete(others, name)
		}
	})
	f.each(func(field *input) {
		if name, found := strings.CutPrefix(field.Name, variablePrefix); found {
			field.Value = s.variables[name]
			return
		}
		switch field.Name {
		case "instance":
			field.Value = s.instance
		case "client_key":
			field.Value = s.clientKey
		case "name":
			field.Value = s.name
		case "default_redirect_uri":
			field.Value = s.defaultRedirectURI
		case "default_return_uri":
			field.Value = s.defaultReturnURI
		case "allowed_redirect_uris":
			field.Value = strings.Join(s.allowedRedirectURIs, "\n")
		case "allowed_return_uris":
			field.Value = strings.Join(s.allowedReturnURIs, "\n")
		case "scopes":
			field.Value = strings.Join(s.scopes, "\n")
		case "extra_params":
			field.Value = pairLines(others)
		case "session_binding_policy":
			field.On = s.bindingRequired
		case "return_profile":
			field.On = s.returnProfile
		case "is_default":
			field.On = s.isDefault
		}
	})
}

// read takes what was entered, and shows it in the form from then on. `origin` is where the console is.
func (f *networkForm) read(form url.Values, origin string) settings {
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	s := settings{instance: text("instance"), clientKey: text("client_key"), clientSecret: secretIn(form), name: text("name"),
		defaultRedirectURI: text("default_redirect_uri"), defaultReturnURI: text("default_return_uri"),
		allowedRedirectURIs: lines(form.Get("allowed_redirect_uris")), allowedReturnURIs: lines(form.Get("allowed_return_uris")),
		scopes: lines(form.Get("scopes")), extraParams: pairsOf(form.Get("extra_params")), variables: map[string]string{},
		bindingRequired: form.Has("session_binding_policy"), returnProfile: form.Has("return_profile"), isDefault: form.Has("is_default")}
	f.each(func(field *input) {
		if name, found := strings.CutPrefix(field.Name, paramPrefix); found && text(field.Name) != "" {
			s.extraParams[name] = text(field.Name)
		}
		if name, found := strings.CutPrefix(field.Name, variablePrefix); found && text(field.Name) != "" {
			s.variables[name] = text(field.Name)
		}
	})
	f.fill(s)
	f.canBeReturnedTo(form.Has("console_returns"))
	if here := origin + returnedPath; form.Has("console_returns") && !slices.Contains(s.allowedReturnURIs, here) {
		s.allowedReturnURIs = append(s.allowedReturnURIs, here)
	}
	return s
}

func lines(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// pairsOf reads name=value lines. One without "=" is a parameter of that name and no value, which the server refuses with
// a sentence.
func pairsOf(text string) map[string]string {
	pairs := map[string]string{}
	for _, line := range lines(text) {
		name, value, _ := strings.Cut(line, "=")
		pairs[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return pairs
}

func pairLines(pairs map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		all = append(all, name+"="+pairs[name])
	}
	return strings.Join(all, "\n")
}

// tell puts each fault beside the input that it is about; what is about none of them stays.
func (f *networkForm) tell(problem *Problem) {
	f.each(func(field *input) {
		switch name, isParam := strings.CutPrefix(field.Name, paramPrefix); {
		case isParam:
			problem.Faults = field.take(problem.Faults, "extra_params."+name)
		case strings.HasPrefix(field.Name, variablePrefix):
			problem.Faults = field.take(problem.Faults, "variables."+strings.TrimPrefix(field.Name, variablePrefix))
		}
	})
	// Those first had names that only they have.
	f.each(func(field *input) { problem.Faults = field.take(problem.Faults, field.Name) })
	if len(faulty(f.all()...)) > 0 && len(problem.Faults) == 0 {
		problem.Message = "It is not saved: look at what is marked below."
	}
}

func (f *networkForm) all() (inputs []input) {
	f.each(func(field *input) { inputs = append(inputs, *field) })
	return inputs
}

func (f *networkForm) faults() []input { return faulty(f.all()...) }

// take puts the faults of a field, its items and members to the input, and returns the others.
func (i *input) take(faults []Fault, field string) []Fault {
	var others []Fault
	for _, fault := range faults {
		rest, found := strings.CutPrefix(fault.Field, field)
		if !found || rest != "" && rest[0] != '[' && rest[0] != '.' {
			others = append(others, fault)
			continue
		}
		text := fault.Text
		if at := whichItem(rest, i.Value); at != "" {
			text = at + ": " + text
		}
		i.Errors = append(i.Errors, sentence(text))
	}
	return others
}

// whichItem names the line of "[2]", or the name of ".name".
func whichItem(rest, value string) string {
	if name, found := strings.CutPrefix(rest, "."); found {
		return name
	}
	var index int
	for _, digit := range strings.Trim(rest, "[]") {
		if digit < '0' || digit > '9' {
			return ""
		}
		index = index*10 + int(digit-'0')
	}
	if all := lines(value); rest != "" && index < len(all) {
		return cut(all[index], 120)
	}
	return ""
}
