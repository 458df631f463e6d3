// local_network.h: a social network in the test's own process, by plain http, for servers that are
// processes of their own: the person at its consent page, its token endpoint, its API.
//
//   LocalNetwork network;
//   flags = {"--allow_local_instances",
//            "--networks_file=" + folder.dir().Write("networks", network.Entries())};
//   … network.Consent(auth_url) …
//
// Each consent is another person's. A code works once, with the verifier, the redirect URI and the
// client of its URL, and is used up as soon as its request is here, whatever becomes of the answer.
// Access and refresh tokens are replaced by each refresh. What a client of any sense never sends is
// a complaint, for the test to look at.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/support/hostile_server.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {

// Safe to use from many threads at once.
class LocalNetwork final {
 public:
  enum class Step { kExchange, kProfile, kPages, kRefresh, kRevocation };

  // Two entries of the catalog: whoever consents is the account; they choose from two pages.
  static constexpr char kPeople[] = "local_people";
  static constexpr char kPages[] = "local_pages";
  static constexpr char kClientKey[] = "local-client";
  static constexpr int kAlways = -1;

  LocalNetwork();
  // Hangs up on all.
  ~LocalNetwork();
  LocalNetwork(const LocalNetwork&) = delete;
  LocalNetwork& operator=(const LocalNetwork&) = delete;

  // The text of a --networks_file with both. The server needs --allow_local_instances for it.
  std::string Entries() const;
  const std::string& client_secret() const { return client_secret_; }

  struct Consented {
    // Their id at the network.
    std::string person;
    std::string code;
    // Where their browser is sent: the redirect URI with code and state.
    std::string url;
  };
  // The person follows the URL, and consents. Fails the test where there is something wrong with
  // the URL.
  Consented Consent(absl::string_view auth_url);

  // From now on what is asked for at the step is done, and no answer comes before Release().
  void Hang(Step step);
  // What hangs is answered, and nothing hangs any more.
  void Release();
  // The next `times` requests of the step, or all, are refused, with this status and this error
  // code, in words that quote every value that the request had. Without a code, in words alone,
  // which are no JSON. A code is used up all the same.
  void RefuseQuoting(Step step, int status, std::string error, int times = kAlways);

  // How many requests of the step came; of them all, how many had this code.
  int requests(Step step) const;
  int sent(const std::string& code) const;
  // Waits until so many came. False when that takes longer than kPatience.
  bool WaitForRequests(Step step, int count) const;
  // What is good for the person now; empty where nothing is.
  std::string AccessTokenOf(const std::string& person) const;
  // All that only the client, or nobody, may learn of it: the client secret, and every code,
  // verifier and token so far.
  std::vector<std::string> secrets() const;
  std::vector<std::string> complaints() const;

 private:
  struct Request;
  struct Person {
    std::string id;
    std::string code;
    std::string challenge;
    std::string redirect_uri;
    std::string access_token;
    std::string refresh_token;
  };
  struct Refusal {
    int status = 0;
    std::string error;
    int times = 0;
  };

  bool Serve(HostileServer::Peer& peer);

  // What follows is called with mutex_ held.
  std::string Answer(Step step, const Request& request);
  std::string Exchange(const Request& request);
  std::string Refresh(const Request& request);
  std::string Profile(const Person& person) const;
  std::string Pages(const Person& person);
  std::string Revoke(const Request& request);
  std::string TokensFor(Person& person);
  bool ClientIsRight(const Request& request) const;
  // Whose token is good now; null for one that is none's.
  Person* FindPerson(std::string Person::*token, const std::string& text);
  std::string Complain(const std::string& complaint, const std::string& error);
  // A new secret.
  std::string Fresh(absl::string_view kind);

  const CertificateAuthority nobody_{"nobody"};
  std::string client_secret_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // All that follows, but for the server, is guarded by mutex_.
  bool is_stopping_ = false;
  int releases_ = 0;
  std::set<Step> hanging_;
  std::map<Step, Refusal> refusals_;
  std::map<Step, int> requests_;
  std::map<std::string, int> sent_;
  std::vector<Person> people_;
  std::map<std::string, size_t> codes_;  // Those that are good.
  std::vector<std::string> secrets_;
  std::vector<std::string> complaints_;
  HostileServer server_;  // Ends before what it serves.
};

}  // namespace authurl::testing
