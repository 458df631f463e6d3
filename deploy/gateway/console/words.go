package console

import "authurl/deploy/gateway/gen/authurlv1"

var eventSentences = map[string]string{
	"account.connected":       "An account was connected",
	"account.updated":         "An account has changed",
	"account.needs_reconnect": "A connection is dead: the person must connect again",
	"account.disconnected":    "An account was disconnected",
	"connection.failed":       "Somebody tried to connect, and it came to nothing",
	"webhook.disabled":        "A webhook is no longer delivered to",
}

// names are what networks are called, by their ids in the catalog.
type names map[string]*authurlv1.Network

// place is where an account or event belongs, in words.
func (n names) place(at interface {
	GetNetwork() string
	GetInstance() string
	GetVariant() string
}) string {
	label := at.GetNetwork()
	if network := n[at.GetNetwork()]; network != nil {
		label = network.GetDisplayName()
		for _, variant := range network.GetVariants() {
			if variant.GetId() == at.GetVariant() {
				label = variant.GetDisplayName()
			}
		}
	}
	if at.GetInstance() != "" {
		label += " · " + at.GetInstance()
	}
	return label
}

type accountRow struct {
	*authurlv1.SocialAccount
	Place string
}

func (n names) accountRows(accounts []*authurlv1.SocialAccount) []accountRow {
	var rows []accountRow
	for _, account := range accounts {
		rows = append(rows, accountRow{account, n.place(account)})
	}
	return rows
}

type eventRow struct {
	*authurlv1.Event
	Place string
}

func (n names) eventRows(events []*authurlv1.Event) []eventRow {
	var rows []eventRow
	for _, event := range events {
		rows = append(rows, eventRow{event, n.place(event)})
	}
	return rows
}

func eventSentence(kind string) string {
	if sentence := eventSentences[kind]; sentence != "" {
		return sentence
	}
	return kind
}

// What the reasons of events and flows mean, for whoever looks after the connections. Those that are not here are shown
// as they are.
var reasonSentences = map[string]string{
	"USER_DENIED":              "The person said no.",
	"CLIENT_REJECTED":          "The network refuses the client key or secret that is configured: compare both with the portal.",
	"CLIENT_SECRET_UNUSABLE":   "The private key that is configured as client secret can't sign: replace it.",
	"CODE_REJECTED":            "The network refused the code, often because it took too long: begin again.",
	"NETWORK_REFUSED":          "The network refuses for a reason of its own.",
	"NETWORK_UNAVAILABLE":      "The network could not be reached: try again later.",
	"NETWORK_ANSWER_INVALID":   "The network answered what can't be read: try again later.",
	"STATE_EXPIRED":            "The person took too long: begin again.",
	"SCOPE_MISSING":            "The person has not granted what the account can't do without.",
	"ACCOUNT_MISMATCH":         "Somebody else signed in than the one whose account was to be connected again.",
	"NO_ACCOUNT":               "The person has none of what this network connects, such as a page.",
	"NOT_AN_ACCOUNT":           "The network says that what signed in can't be connected.",
	"TOO_MANY_ACCOUNTS":        "There are as many accounts as there may be.",
	"SESSION_EXPIRED":          "Nobody chose within 30 minutes.",
	"SESSION_NOT_FOUND":        "Nobody chose in time.",
	"REFRESH_DEAD":             "The network no longer takes the refresh token: the consent was taken back, or has ended.",
	"ACCESS_TOKEN_DEAD":        "The network no longer takes the access token.",
	"ACCESS_TOKEN_EXPIRED":     "The access token has ended, and can't be refreshed.",
	"REFRESH_ANSWER_LOST":      "A refresh token was sent and its answer got lost; it can't be sent twice.",
	"DELETED":                  "It was disconnected by a call.",
	"TENANT_DELETED":           "All accounts of its tenant were disconnected.",
	"CONFIGURATION_DELETED":    "Its configuration was deleted.",
	"COMPLETION_UNKNOWN":       "How it went was lost: begin again.",
	"SESSION_BINDING_MISMATCH": "It was begun in another browser or session.",
	"DELIVERY_FAILED":          "Nothing was taken for three days.",
	"GONE":                     "The receiver said that it is gone for good.",
}

func reasonSentence(reason string) string { return reasonSentences[reason] }

func revocationSentence(r authurlv1.RevocationResult) string {
	switch r {
	case authurlv1.RevocationResult_REVOCATION_RESULT_REVOKED:
		return "The consent was revoked at the network."
	case authurlv1.RevocationResult_REVOCATION_RESULT_STILL_IN_USE:
		return "The consent stays: other accounts live on it."
	case authurlv1.RevocationResult_REVOCATION_RESULT_NOT_OFFERED:
		return "The consent lives on at the network, where the person can take it back."
	case authurlv1.RevocationResult_REVOCATION_RESULT_FAILED:
		return "The network did not revoke the consent; the tokens are removed here."
	}
	return ""
}
