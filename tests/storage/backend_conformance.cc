#include "tests/storage/backend_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kAlreadyExists = absl::StatusCode::kAlreadyExists;
constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;
constexpr absl::StatusCode kResourceExhausted = absl::StatusCode::kResourceExhausted;

// Long rows of which each organisation has its own, with everything that a table can have.
constexpr std::array<Column, 4> kBoatColumns = {{
    {"harbour", ColumnType::kText},
    {"name", ColumnType::kText},
    {"length", ColumnType::kInteger},
    {"leaves_at", ColumnType::kInteger},
}};
constexpr size_t kHarbour = 0;
constexpr size_t kName = 1;
constexpr size_t kLength = 2;
constexpr std::array<size_t, 2> kHarbourAndName = {0, 1};
constexpr std::array<size_t, 1> kHarbourOnly = {0};
constexpr std::array<size_t, 1> kNameOnly = {1};
constexpr size_t kByHarbourAndName = 0;
constexpr size_t kByHarbour = 1;
constexpr size_t kByName = 2;
constexpr std::array<Lookup, 3> kBoatLookups = {{
    {"by_harbour_and_name", Lookup::Kind::kUnique, kHarbourAndName},
    {"by_harbour", Lookup::Kind::kPrefix, kHarbourOnly, kLength},
    {"by_name", Lookup::Kind::kIndexed, kNameOnly},
}};
constexpr std::array<Part, 2> kBoatParts = {{
    {"papers", Purpose::kSettings},
    {"treasure", Purpose::kSecret},
}};
const Table kBoats = {.name = "boats",
                      .ids = Table::Ids::kPerOrganization,
                      .columns = kBoatColumns,
                      .lookups = kBoatLookups,
                      .due = 3,
                      .parts = kBoatParts};

// Short rows with ids that are unique over all organisations.
constexpr std::array<Part, 1> kFlagParts = {{{"cloth", Purpose::kApiKey}}};
const Table kFlags = {.name = "flags",
                      .ids = Table::Ids::kGlobal,
                      .columns = {},
                      .lookups = {},
                      .parts = kFlagParts,
                      .short_rows = true};

// The organisations themselves, and rows that are not sealed anew.
constexpr std::array<Column, 1> kDueColumns = {{{"due_at", ColumnType::kInteger}}};
const Table kFleets = {.name = "fleets",
                       .ids = Table::Ids::kOrganization,
                       .columns = kDueColumns,
                       .lookups = {},
                       .due = 0,
                       .parts = kFlagParts,
                       .resealed = false};

// Rows that are numbered.
constexpr std::array<Column, 2> kLogColumns = {{
    {"keep_until", ColumnType::kInteger},
    {"line", ColumnType::kInteger},
}};
constexpr size_t kLine = 1;
const Table kLog = {.name = "log",
                    .ids = Table::Ids::kPerOrganization,
                    .columns = kLogColumns,
                    .lookups = {},
                    .due = 0,
                    .number = kLine,
                    .parts = kFlagParts};

constexpr std::array<const Table*, 4> kTables = {&kBoats, &kFlags, &kFleets, &kLog};

// Every byte value, so that nothing on the way may take it for text.
std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

Row Boat(const std::string& org_id, const std::string& id, const std::string& harbour,
         const std::string& name = "", int64_t length = 0, int64_t leaves_at = kNeverDue) {
  return {.org_id = org_id,
          .generation = 7,
          .id = id,
          .version = 1,
          .columns = {harbour, name, length, leaves_at},
          .parts = {"papers of " + id, "treasure of " + id}};
}

Row Flag(const std::string& id, const std::string& org_id = "",
         const std::string& cloth = "cloth") {
  return {.org_id = org_id, .id = id, .columns = {}, .parts = {cloth}};
}

Row Fleet(const std::string& id, int64_t due_at = kNeverDue) {
  return {.org_id = id, .id = id, .columns = {due_at}, .parts = {"cloth of " + id}};
}

Row LogLine(const std::string& org_id, const std::string& id, int64_t first_number = 0) {
  return {.org_id = org_id,
          .generation = 7,
          .id = id,
          .columns = {kNeverDue, first_number},
          .parts = {"cloth of " + id}};
}

LookupValues InHarbour(const std::string& org_id, const std::string& harbour) {
  return {.lookup = kByHarbour, .org_id = org_id, .values = {harbour}};
}

LookupValues Named(const std::string& org_id, const std::string& harbour, const std::string& name) {
  return {.lookup = kByHarbourAndName, .org_id = org_id, .values = {harbour, name}};
}

const CallContext& NoLimit() { return CallContext::Background(); }

}  // namespace

void BackendConformanceTest::SetUp() {
  database_ = GetParam()();
  Reopen();
}

void BackendConformanceTest::Reopen() {
  backend_.reset();
  ASSERT_OK_AND_ASSIGN(backend_, database_->Open(kTables));
}

CommitResult BackendConformanceTest::Commit(const Batch& batch) {
  return backend_->Commit(NoLimit(), batch);
}

absl::Status BackendConformanceTest::InsertRow(const Table& table, const Row& row) {
  return Commit({Insert{&table, row}}).status;
}

absl::Status BackendConformanceTest::UpdateRow(const Table& table, const Row& row,
                                               uint64_t expected_version) {
  return Commit({Update{&table, row, expected_version}}).status;
}

absl::Status BackendConformanceTest::DeleteRow(const Table& table, const std::string& org_id,
                                               const std::string& id,
                                               std::optional<uint64_t> expected_version) {
  return Commit({Delete{&table, org_id, id, expected_version}}).status;
}

absl::StatusOr<Row> BackendConformanceTest::GetRow(const Table& table, const std::string& org_id,
                                                   const std::string& id) {
  return backend_->Get(NoLimit(), table, org_id, id, table.parts.size());
}

std::string BackendConformanceTest::Ids(const absl::StatusOr<RowPage>& page) {
  EXPECT_OK(page);
  if (!page.ok()) return std::string(page.status().message());
  return absl::StrJoin(page->rows, " ",
                       [](std::string* out, const Row& row) { absl::StrAppend(out, row.id); });
}

std::string BackendConformanceTest::List(const Table& table, std::optional<std::string> org_id,
                                         const std::string& after, int rows) {
  return Ids(backend_->List(NoLimit(), table, org_id, after, {.rows = rows}, 0));
}

TEST_P(BackendConformanceTest, ANewDatabaseHasNothing) {
  EXPECT_OK(backend_->Probe());
  EXPECT_OK(backend_->ProbeReads());
  EXPECT_THAT(GetRow(kFleets, "acme", "acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(GetRow(kFlags, "", "flag"), StatusIs(kNotFound, _));
  EXPECT_EQ(List(kFleets, std::nullopt, "", 10), "");
  EXPECT_EQ(List(kFlags, std::nullopt, "", 10), "");
  EXPECT_EQ(List(kBoats, "acme", "", 10), "");
}

TEST_P(BackendConformanceTest, AMetaValueIsAbsentUntilItIsPutAndPuttingReplacesIt) {
  ASSERT_OK_AND_ASSIGN(std::optional<std::string> value, backend_->GetMeta("name"));
  EXPECT_EQ(value, std::nullopt);
  ASSERT_OK(backend_->PutMeta("name", "first"));
  ASSERT_OK(backend_->PutMeta("name", AllBytes()));
  ASSERT_OK(backend_->PutMeta("empty", ""));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("name"));
  EXPECT_THAT(value, Optional(AllBytes()));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("empty"));
  EXPECT_THAT(value, Optional(std::string()));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("Name"));
  EXPECT_EQ(value, std::nullopt);
}

TEST_P(BackendConformanceTest, ARowComesBackAsItWasInserted) {
  Row row = Boat("acme", "b1", "Ostend", "Sea \"Cloud\"; --", -5, 12);
  row.generation = std::numeric_limits<int64_t>::max();
  row.version = 9;
  row.parts = {AllBytes(), ""};
  ASSERT_OK(InsertRow(kBoats, row));
  ASSERT_OK_AND_ASSIGN(const Row found, GetRow(kBoats, "acme", "b1"));
  EXPECT_EQ(found.org_id, "acme");
  EXPECT_EQ(found.generation, row.generation);
  EXPECT_EQ(found.id, "b1");
  EXPECT_EQ(found.version, 9u);
  EXPECT_EQ(found.columns, row.columns);
  EXPECT_EQ(found.parts, row.parts);
  ASSERT_OK(InsertRow(kFlags, Flag("f1")));
  ASSERT_OK_AND_ASSIGN(const Row flag, GetRow(kFlags, "", "f1"));
  EXPECT_EQ(flag.org_id, "");
  EXPECT_THAT(flag.columns, IsEmpty());
}

TEST_P(BackendConformanceTest, PartsComeOnlyAsFarAsTheyAreAskedFor) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b1", "Ostend")));
  for (size_t parts = 0; parts <= 2; ++parts) {
    ASSERT_OK_AND_ASSIGN(const Row by_id, backend_->Get(NoLimit(), kBoats, "acme", "b1", parts));
    EXPECT_EQ(by_id.parts.size(), parts);
    ASSERT_OK_AND_ASSIGN(const Row found,
                         backend_->Find(NoLimit(), kBoats, InHarbour("acme", "Ostend"), parts));
    EXPECT_EQ(found.parts, by_id.parts);
    ASSERT_OK_AND_ASSIGN(const RowPage page,
                         backend_->List(NoLimit(), kBoats, "acme", "", {.rows = 5}, parts));
    ASSERT_EQ(page.rows.size(), 1u);
    EXPECT_EQ(page.rows[0].parts, by_id.parts);
  }
}

TEST_P(BackendConformanceTest, IdsAreComparedByteForByte) {
  ASSERT_OK(InsertRow(kFlags, Flag("acme", "", "lower")));
  ASSERT_OK(InsertRow(kFlags, Flag("ACME", "", "upper")));
  EXPECT_THAT(GetRow(kFlags, "", "Acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(GetRow(kFlags, "", "acme "), StatusIs(kNotFound, _));
  EXPECT_THAT(GetRow(kFlags, "", std::string("acme\0", 5)), StatusIs(kNotFound, _));
  ASSERT_OK_AND_ASSIGN(const Row row, GetRow(kFlags, "", "ACME"));
  EXPECT_EQ(row.parts[0], "upper");
}

TEST_P(BackendConformanceTest, AnIdIsAValueAndNeverPartOfAQuery) {
  const std::string id = "a'; DROP TABLE flags; --\" %_*?\n";
  ASSERT_OK(InsertRow(kFlags, Flag(id)));
  ASSERT_OK(GetRow(kFlags, "", id));
  EXPECT_EQ(List(kFlags, std::nullopt, "", 10), id);
}

TEST_P(BackendConformanceTest, ATakenIdIsRefusedAndTheFirstStays) {
  ASSERT_OK(InsertRow(kFlags, Flag("f", "acme", "first")));
  EXPECT_THAT(InsertRow(kFlags, Flag("f", "acme", "second")), StatusIs(kAlreadyExists, _));
  EXPECT_THAT(InsertRow(kFlags, Flag("f", "other", "second")), StatusIs(kAlreadyExists, _));
  ASSERT_OK_AND_ASSIGN(const Row row, GetRow(kFlags, "", "f"));
  EXPECT_EQ(row.parts[0], "first");
}

TEST_P(BackendConformanceTest, RowsOfOneOrganizationAreNotAnothers) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend")));
  EXPECT_THAT(GetRow(kBoats, "other", "b"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->Find(NoLimit(), kBoats, InHarbour("other", "Ostend"), 0),
              StatusIs(kNotFound, _));
  EXPECT_THAT(DeleteRow(kBoats, "other", "b", 1), StatusIs(kNotFound, _));
  ASSERT_OK(DeleteRow(kBoats, "other", "b"));
  EXPECT_THAT(UpdateRow(kBoats, Boat("other", "b", "Ostend"), 1), StatusIs(kNotFound, _));
  // Neither ids nor unique values of one organisation are in the way of another.
  EXPECT_OK(InsertRow(kBoats, Boat("other", "b", "Ostend")));
  EXPECT_OK(GetRow(kBoats, "acme", "b"));
}

TEST_P(BackendConformanceTest, ListsAreInByteOrderAndCutIntoPages) {
  for (const char* id : {"b", "a", "B", "\xC3\xA9", "_", "aa", "1"}) {
    ASSERT_OK(InsertRow(kFlags, Flag(id)));
  }
  EXPECT_EQ(List(kFlags, std::nullopt, "", 10), "1 B _ a aa b \xC3\xA9");
  EXPECT_EQ(List(kFlags, std::nullopt, "", 3), "1 B _");
  EXPECT_EQ(List(kFlags, std::nullopt, "_", 3), "a aa b");
  EXPECT_EQ(List(kFlags, std::nullopt, "ab", 3), "b \xC3\xA9");
  EXPECT_EQ(List(kFlags, std::nullopt, "\xC3\xA9", 3), "");
  EXPECT_EQ(List(kFlags, std::nullopt, "", 0), "");
  EXPECT_EQ(List(kFlags, std::nullopt, "", -1), "");
}

TEST_P(BackendConformanceTest, ListsAreOfAllOfOneOrOfNoOrganization) {
  for (const char* id : {"c", "a", "e"}) ASSERT_OK(InsertRow(kFlags, Flag(id, "acme")));
  ASSERT_OK(InsertRow(kFlags, Flag("b", "other")));
  ASSERT_OK(InsertRow(kFlags, Flag("d")));
  EXPECT_EQ(List(kFlags, std::nullopt, "", 10), "a b c d e");
  EXPECT_EQ(List(kFlags, std::nullopt, "b", 2), "c d");
  EXPECT_EQ(List(kFlags, "acme", "", 10), "a c e");
  EXPECT_EQ(List(kFlags, "acme", "a", 1), "c");
  EXPECT_EQ(List(kFlags, "", "", 10), "d");
  EXPECT_EQ(List(kFlags, "nobody", "", 10), "");
}

TEST_P(BackendConformanceTest, APageSaysWhereTheNextOneBeginsAndTheLastSaysThatItIs) {
  for (const char* id : {"a", "b", "c", "d"}) {
    ASSERT_OK(InsertRow(kBoats, Boat("acme", id, id)));
    ASSERT_OK(InsertRow(kFlags, Flag(id)));
  }
  for (const Table* table : {&kBoats, &kFlags}) {
    const std::optional<absl::string_view> org_id =
        table == &kBoats ? std::optional<absl::string_view>("acme") : std::nullopt;
    std::string after;
    std::string pages;
    do {
      const auto page = backend_->List(NoLimit(), *table, org_id, after, {.rows = 2}, 0);
      absl::StrAppend(&pages, Ids(page), ";");
      after = page.ok() ? page->next : "";
    } while (!after.empty());
    EXPECT_EQ(pages, "a b;c d;");
  }
}

// What one page takes is bounded by its bytes, whatever the number of rows.
TEST_P(BackendConformanceTest, APageEndsWithTheRowThatMakesItLargeEnough) {
  for (const std::string id : {"a", "b", "c", "d"}) {
    Row row = Boat("acme", id, id);
    row.parts = {std::string(10'000, 'x'), std::string(100'000, 'y')};
    ASSERT_OK(InsertRow(kBoats, row));
  }
  const auto page_of = [&](size_t bytes, size_t parts) {
    return Ids(backend_->List(NoLimit(), kBoats, "acme", "", {.rows = 10, .bytes = bytes}, parts));
  };
  EXPECT_EQ(page_of(1, 1), "a");
  EXPECT_EQ(page_of(0, 1), "a");
  EXPECT_EQ(page_of(15'000, 1), "a b");
  EXPECT_EQ(page_of(1'000'000, 1), "a b c d");
  EXPECT_EQ(page_of(15'000, 2), "a");
  EXPECT_EQ(page_of(15'000, 0), "a b c d");
  ASSERT_OK_AND_ASSIGN(const RowPage page, backend_->List(NoLimit(), kBoats, "acme", "a",
                                                          {.rows = 10, .bytes = 15'000}, 1));
  EXPECT_EQ(page.next, "c");
}

TEST_P(BackendConformanceTest, ARowIsUpdatedOnlyFromTheExpectedVersion) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend")));
  Row row = Boat("acme", "b", "Calais", "new", 3, 4);
  row.version = 2;
  row.parts = {"new papers", "new treasure"};
  EXPECT_THAT(UpdateRow(kBoats, row, 5), StatusIs(kAborted, _));
  ASSERT_OK_AND_ASSIGN(Row found, GetRow(kBoats, "acme", "b"));
  EXPECT_EQ(found.parts[0], "papers of b");
  ASSERT_OK(UpdateRow(kBoats, row, 1));
  ASSERT_OK_AND_ASSIGN(found, GetRow(kBoats, "acme", "b"));
  EXPECT_EQ(found.version, 2u);
  EXPECT_EQ(found.columns, row.columns);
  EXPECT_EQ(found.parts, row.parts);
  EXPECT_THAT(UpdateRow(kBoats, row, 1), StatusIs(kAborted, _));
  row.id = "nobody's";
  EXPECT_THAT(UpdateRow(kBoats, row, 1), StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, ARowIsDeletedInTheExpectedVersionOrInAny) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend")));
  EXPECT_THAT(DeleteRow(kBoats, "acme", "b", 2), StatusIs(kAborted, _));
  EXPECT_OK(GetRow(kBoats, "acme", "b"));
  ASSERT_OK(DeleteRow(kBoats, "acme", "b", 1));
  EXPECT_THAT(GetRow(kBoats, "acme", "b"), StatusIs(kNotFound, _));
  EXPECT_THAT(DeleteRow(kBoats, "acme", "b", 1), StatusIs(kNotFound, _));
  EXPECT_OK(DeleteRow(kBoats, "acme", "b"));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend")));
  EXPECT_OK(DeleteRow(kBoats, "acme", "b"));
  EXPECT_THAT(GetRow(kBoats, "acme", "b"), StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, UniqueValuesAreUniqueInOneOrganization) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b1", "Ostend", "Lily")));
  EXPECT_THAT(InsertRow(kBoats, Boat("acme", "b2", "Ostend", "Lily")), StatusIs(kAlreadyExists, _));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b2", "Ostend", "lily")));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b3", "Calais", "Lily")));
  EXPECT_THAT(UpdateRow(kBoats, Boat("acme", "b3", "Ostend", "Lily"), 1),
              StatusIs(kAlreadyExists, _));
  ASSERT_OK_AND_ASSIGN(const Row row,
                       backend_->Find(NoLimit(), kBoats, Named("acme", "Ostend", "Lily"), 0));
  EXPECT_EQ(row.id, "b1");
  ASSERT_OK(DeleteRow(kBoats, "acme", "b1"));
  EXPECT_OK(UpdateRow(kBoats, Boat("acme", "b3", "Ostend", "Lily"), 1));
}

TEST_P(BackendConformanceTest, ALookupFindsTheFirstInItsOrder) {
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "a", "Ostend", "n1", 5)));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend", "n2", -3)));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "c", "Ostend", "n3", -3)));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "d", "Calais", "n1", 1)));
  const auto find = [&](const LookupValues& key) {
    const auto row = backend_->Find(NoLimit(), kBoats, key, 0);
    return row.ok() ? row->id : std::string(row.status().message());
  };
  // The lowest length, then the lowest id.
  EXPECT_EQ(find(InHarbour("acme", "Ostend")), "b");
  EXPECT_EQ(find(InHarbour("acme", "Calais")), "d");
  EXPECT_EQ(find({.lookup = kByName, .org_id = "acme", .values = {"n1"}}), "a");
  EXPECT_EQ(find(Named("acme", "Ostend", "n3")), "c");
  EXPECT_THAT(backend_->Find(NoLimit(), kBoats, InHarbour("acme", "ostend"), 0),
              StatusIs(kNotFound, _));
  ASSERT_OK_AND_ASSIGN(const int64_t highest,
                       backend_->FindHighest(NoLimit(), kBoats, InHarbour("acme", "Ostend")));
  EXPECT_EQ(highest, 5);
  EXPECT_THAT(backend_->FindHighest(NoLimit(), kBoats, InHarbour("acme", "Dover")),
              StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, WhatALookupFindsIsListedByIdAndCutIntoPages) {
  for (const char* id : {"b", "a", "B", "\xC3\xA9", "_", "aa", "1"}) {
    ASSERT_OK(InsertRow(kBoats, Boat("acme", id, id, "Lily")));
  }
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "ab", "ab", "lily")));
  ASSERT_OK(InsertRow(kBoats, Boat("other", "ac", "ac", "Lily")));
  const LookupValues lilies = {.lookup = kByName, .org_id = "acme", .values = {"Lily"}};
  const auto list = [&](const LookupValues& key, absl::string_view after, int rows) {
    return Ids(backend_->ListFound(NoLimit(), kBoats, key, after, {.rows = rows}, 0));
  };
  EXPECT_EQ(list(lilies, "", 10), "1 B _ a aa b \xC3\xA9");
  EXPECT_EQ(list(lilies, "", 3), "1 B _");
  EXPECT_EQ(list(lilies, "_", 3), "a aa b");
  EXPECT_EQ(list(lilies, "ab", 3), "b \xC3\xA9");
  EXPECT_EQ(list(lilies, "\xC3\xA9", 3), "");
  EXPECT_EQ(list(lilies, "", 0), "");
  EXPECT_EQ(list(lilies, "", -1), "");
  EXPECT_EQ(list({.lookup = kByName, .org_id = "nobody", .values = {"Lily"}}, "", 10), "");
  EXPECT_EQ(list(RowsOfOrganization("acme"), "a", 2), "aa ab");
  EXPECT_EQ(list(RowsOfOrganization("other"), "", 10), "ac");
  std::string after;
  std::string pages;
  do {
    const auto page = backend_->ListFound(NoLimit(), kBoats, lilies, after, {.rows = 3}, 0);
    absl::StrAppend(&pages, Ids(page), ";");
    after = page.ok() ? page->next : "";
  } while (!after.empty());
  EXPECT_EQ(pages, "1 B _;a aa b;\xC3\xA9;");
  // With so many parts, and no more bytes, as are asked for.
  ASSERT_OK_AND_ASSIGN(const RowPage page, backend_->ListFound(NoLimit(), kBoats, lilies, "a",
                                                               {.rows = 9, .bytes = 1}, 2));
  ASSERT_EQ(Ids(page), "aa");
  EXPECT_EQ(page.next, "aa");
  EXPECT_THAT(page.rows[0].parts, ElementsAre("papers of aa", "treasure of aa"));
}

TEST_P(BackendConformanceTest, WhatALookupFindsIsCountedUpToALimit) {
  for (int i = 0; i < 5; ++i) {
    const std::string id = absl::StrCat(i);
    ASSERT_OK(InsertRow(kBoats, Boat("acme", id, "Ostend", id)));
  }
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "elsewhere", "Calais", "1")));
  ASSERT_OK(InsertRow(kBoats, Boat("other", "1", "Ostend", "1")));
  const auto count = [&](const LookupValues& key, int64_t at_most) {
    return backend_->Count(NoLimit(), kBoats, key, at_most).value_or(-1);
  };
  EXPECT_EQ(count(InHarbour("acme", "Ostend"), 100), 5);
  EXPECT_EQ(count(InHarbour("acme", "Ostend"), 5), 5);
  EXPECT_EQ(count(InHarbour("acme", "Ostend"), 2), 2);
  EXPECT_EQ(count(InHarbour("acme", "Ostend"), 0), 0);
  EXPECT_EQ(count(InHarbour("acme", "Ostend"), -1), 0);
  EXPECT_EQ(count(InHarbour("acme", "ostend"), 9), 0);
  EXPECT_EQ(count({.lookup = kByName, .org_id = "acme", .values = {"1"}}, 9), 2);
  EXPECT_EQ(count(Named("acme", "Ostend", "1"), 9), 1);
  EXPECT_EQ(count(RowsOfOrganization("acme"), 9), 6);
  EXPECT_EQ(count(RowsOfOrganization("nobody"), 9), 0);
}

TEST_P(BackendConformanceTest, TheValuesOfALookupAreListedOnceEach) {
  EXPECT_THAT(backend_->ListValues(NoLimit(), kBoats, kByHarbour, "acme"), IsOkAndHolds(IsEmpty()));
  int i = 0;
  for (const char* harbour : {"Ostend", "Calais", "Ostend", "", "Ostend", "Dover", "Calais"}) {
    const std::string id = absl::StrCat(++i);
    ASSERT_OK(InsertRow(kBoats, Boat("acme", id, harbour, id)));
  }
  ASSERT_OK(InsertRow(kBoats, Boat("other", "1", "Boston")));
  EXPECT_THAT(backend_->ListValues(NoLimit(), kBoats, kByHarbour, "acme"),
              IsOkAndHolds(ElementsAre("", "Calais", "Dover", "Ostend")));
}

TEST_P(BackendConformanceTest, DueRowsAreListedThoseThatAreDueFirstFirst) {
  ASSERT_OK(InsertRow(kFleets, Fleet("a", 30)));
  ASSERT_OK(InsertRow(kFleets, Fleet("b", -10)));
  ASSERT_OK(InsertRow(kFleets, Fleet("c", 40)));
  ASSERT_OK(InsertRow(kFleets, Fleet("d", 20)));
  ASSERT_OK(InsertRow(kFleets, Fleet("e")));
  const auto due = [&](int64_t before, int limit) {
    const auto rows = backend_->ListDue(NoLimit(), kFleets, before, limit);
    EXPECT_OK(rows);
    std::string ids;
    for (const Row& row : rows.value_or(std::vector<Row>())) absl::StrAppend(&ids, row.id);
    return ids;
  };
  EXPECT_EQ(due(35, 10), "bda");
  EXPECT_EQ(due(35, 2), "bd");
  EXPECT_EQ(due(30, 10), "bd");
  EXPECT_EQ(due(31, 10), "bda");
  EXPECT_EQ(due(35, 0), "");
  EXPECT_EQ(due(35, -1), "");
  EXPECT_EQ(due(kNeverDue, 10), "bdac");
}

TEST_P(BackendConformanceTest, AllThatIsDueCanBeGoneThrough) {
  ASSERT_OK(InsertRow(kBoats, Boat("b", "1", "Ostend", "1", 0, 20)));
  ASSERT_OK(InsertRow(kBoats, Boat("a", "2", "Ostend", "2", 0, 20)));
  ASSERT_OK(InsertRow(kBoats, Boat("a", "1", "Ostend", "1", 0, 20)));
  ASSERT_OK(InsertRow(kBoats, Boat("c", "1", "Ostend", "1", 0, -5)));
  ASSERT_OK(InsertRow(kBoats, Boat("a", "3", "Ostend", "3", 0, 30)));
  ASSERT_OK(InsertRow(kBoats, Boat("a", "4", "Ostend", "4")));
  const auto due = [&](const DuePosition& after, int64_t before, int limit) {
    const auto rows = backend_->ListDueAfter(NoLimit(), kBoats, after, before, limit);
    EXPECT_OK(rows);
    std::string ids;
    for (const Row& row : rows.value_or(std::vector<Row>())) {
      absl::StrAppend(&ids, row.org_id, row.id, " ");
      EXPECT_THAT(row.parts, IsEmpty());
    }
    return ids;
  };
  EXPECT_EQ(due({}, 31, 10), "c1 a1 a2 b1 a3 ");
  EXPECT_EQ(due({}, 30, 10), "c1 a1 a2 b1 ");
  EXPECT_EQ(due({}, 31, 2), "c1 a1 ");
  EXPECT_EQ(due({.due = 20, .org_id = "a", .id = "1"}, 31, 2), "a2 b1 ");
  // Also where that row is gone.
  EXPECT_EQ(due({.due = 20, .org_id = "a", .id = "15"}, 31, 10), "a2 b1 a3 ");
  EXPECT_EQ(due({.due = 20, .org_id = "b", .id = "1"}, 31, 10), "a3 ");
  EXPECT_EQ(due({.due = 20}, kNeverDue, 10), "a1 a2 b1 a3 ");
  EXPECT_EQ(due({}, 31, 0), "");
  EXPECT_EQ(due({}, 31, -1), "");
  EXPECT_THAT(backend_->CountDue(NoLimit(), kBoats, 20, 30), IsOkAndHolds(4));
  EXPECT_THAT(backend_->CountDue(NoLimit(), kBoats, kNeverDue, kNeverDue), IsOkAndHolds(1));
  EXPECT_THAT(backend_->CountDue(NoLimit(), kBoats, 21, 29), IsOkAndHolds(0));
}

TEST_P(BackendConformanceTest, RowsAreNumberedInTheOrderInWhichTheyWereCommitted) {
  EXPECT_THAT(backend_->HighestNumber(NoLimit(), kLog, "acme"), IsOkAndHolds(std::nullopt));
  ASSERT_OK(InsertRow(kLog, LogLine("acme", "z", 100)));
  ASSERT_OK(InsertRow(kLog, LogLine("other", "z", 5)));
  // Two in one batch, of which the numbers that they come with are not looked at.
  ASSERT_OK(
      Commit({Insert{&kLog, LogLine("acme", "y", 500)}, Insert{&kLog, LogLine("acme", "x", 1)}})
          .status);
  // One that is not done takes no number.
  EXPECT_THAT(
      Commit({Insert{&kLog, LogLine("acme", "w")}, Insert{&kLog, LogLine("acme", "x")}}).status,
      StatusIs(kAlreadyExists, _));
  ASSERT_OK(InsertRow(kLog, LogLine("acme", "v")));
  const auto listed = [&](const char* org_id, int64_t after, PageLimit limit) {
    const auto page = backend_->ListNumbered(NoLimit(), kLog, org_id, after, limit, 1);
    EXPECT_OK(page);
    std::string text;
    if (!page.ok()) return text;
    for (const Row& row : page->rows) {
      absl::StrAppend(&text, row.id, row.integer(kLine), " ");
      EXPECT_THAT(row.parts, ElementsAre("cloth of " + row.id));
    }
    return absl::StrCat(text, page->next.empty() ? "." : page->next);
  };
  EXPECT_EQ(listed("acme", 0, {.rows = 10}), "z100 y101 x102 v103 .");
  EXPECT_EQ(listed("acme", 100, {.rows = 2}), "y101 x102 102");
  EXPECT_EQ(listed("acme", 102, {.rows = 1}), "v103 .");
  EXPECT_EQ(listed("acme", 103, {.rows = 1}), ".");
  EXPECT_EQ(listed("acme", 0, {.rows = 10, .bytes = 1}), "z100 100");
  EXPECT_EQ(listed("other", 0, {.rows = 10}), "z5 .");
  EXPECT_THAT(backend_->HighestNumber(NoLimit(), kLog, "acme"), IsOkAndHolds(103));

  // Whatever else is deleted or changed, the next one follows the last one.
  ASSERT_OK(Commit({Delete{&kLog, "acme", "z"}}).status);
  Row changed = LogLine("acme", "y", 101);
  changed.version = 2;
  ASSERT_OK(Commit({Update{&kLog, changed, 1}}).status);
  ASSERT_OK(InsertRow(kLog, LogLine("acme", "u")));
  EXPECT_EQ(listed("acme", 0, {.rows = 10}), "y101 x102 v103 u104 .");

  // Numbers that were given in a database that is no longer this one are not given again.
  ASSERT_OK(backend_->RaiseNumbers(kLog, 300));
  ASSERT_OK(backend_->RaiseNumbers(kLog, 200));
  EXPECT_THAT(backend_->HighestNumber(NoLimit(), kLog, "acme"), IsOkAndHolds(104));
  ASSERT_OK(InsertRow(kLog, LogLine("acme", "t")));
  ASSERT_OK(InsertRow(kLog, LogLine("acme", "s")));
  EXPECT_EQ(listed("acme", 103, {.rows = 10}), "u104 t300 s301 .");
  ASSERT_OK(InsertRow(kLog, LogLine("new", "z", 5)));
  ASSERT_OK(InsertRow(kLog, LogLine("newer", "z", 500)));
  EXPECT_EQ(listed("new", 0, {.rows = 10}), "z300 .");
  EXPECT_EQ(listed("newer", 0, {.rows = 10}), "z500 .");
}

TEST_P(BackendConformanceTest, ABatchIsDoneAsAWholeOrNotAtAll) {
  ASSERT_OK(InsertRow(kFleets, Fleet("acme")));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "old", "Ostend", "old")));
  // Each part sees what those before it did.
  CommitResult result = Commit({Insert{&kBoats, Boat("acme", "b1", "Ostend", "n1")},
                                Delete{&kBoats, "acme", "old", 1},
                                Insert{&kBoats, Boat("acme", "b2", "Ostend", "old")},
                                ExpectAtMost{&kBoats, InHarbour("acme", "Ostend"), 2},
                                ExpectVersion{&kFleets, "acme", "acme", 1}});
  ASSERT_OK(result.status);
  ASSERT_EQ(result.counts.size(), 1u);
  EXPECT_EQ(result.counts[0].rows, 2);
  EXPECT_EQ(List(kBoats, "acme", "", 10), "b1 b2");

  const Insert b3{&kBoats, Boat("acme", "b3", "Calais", "n3")};
  const std::vector<std::pair<Batch, absl::StatusCode>> refused = {
      {{b3, Insert{&kBoats, Boat("acme", "b1", "Dover")}}, kAlreadyExists},
      {{b3, Insert{&kBoats, Boat("acme", "b4", "Ostend", "n1")}}, kAlreadyExists},
      {{b3, Update{&kBoats, Boat("acme", "b1", "Dover"), 2}}, kAborted},
      {{b3, Update{&kBoats, Boat("acme", "b9", "Dover"), 1}}, kNotFound},
      {{b3, Delete{&kBoats, "acme", "b1", 2}}, kAborted},
      {{b3, Delete{&kBoats, "acme", "b9", 1}}, kNotFound},
      {{b3, ExpectVersion{&kFleets, "acme", "acme", 2}}, kAborted},
      {{b3, ExpectVersion{&kFleets, "other", "other", 1}}, kNotFound},
      {{b3, ExpectAtMost{&kBoats, InHarbour("acme", "Ostend"), 1}}, kResourceExhausted},
  };
  for (const auto& [batch, code] : refused) {
    result = Commit(batch);
    EXPECT_THAT(result.status, StatusIs(code, _));
    EXPECT_EQ(result.refused, 1u);
    EXPECT_EQ(List(kBoats, "acme", "", 10), "b1 b2");
  }
  ASSERT_OK(Commit({b3}).status);
}

TEST_P(BackendConformanceTest, RowsAreCountedUpToTheLimitAndWithinBounds) {
  for (int i = 0; i < 5; ++i) {
    const std::string id = absl::StrCat(i);
    ASSERT_OK(InsertRow(kBoats, Boat("acme", id, "Ostend", id, 10 * i)));
  }
  const LookupValues in_ostend = InHarbour("acme", "Ostend");
  const auto count = [&](int64_t rows) {
    const CommitResult result = Commit({ExpectAtMost{&kBoats, in_ostend, rows}});
    EXPECT_EQ(result.counts.size(), 1u);
    EXPECT_EQ(result.status.ok(), result.counts[0].rows <= rows) << result.status;
    EXPECT_EQ(result.counts[0].within, 0);
    return result.counts[0].rows;
  };
  EXPECT_EQ(count(100), 5);
  EXPECT_EQ(count(5), 5);
  EXPECT_EQ(count(2), 3);
  EXPECT_EQ(count(0), 1);

  const auto within = [&](ExpectAtMost::Within bounds) {
    const CommitResult result = Commit({ExpectAtMost{&kBoats, in_ostend, 100, bounds}});
    EXPECT_EQ(result.counts.size(), 1u);
    EXPECT_EQ(result.status.ok(), result.counts[0].within <= bounds.rows) << result.status;
    EXPECT_EQ(result.counts[0].rows, 5);
    return result.counts[0].within;
  };
  EXPECT_EQ(within({.rows = 5}), 5);
  EXPECT_EQ(within({.from = 20, .rows = 3}), 3);
  EXPECT_EQ(within({.from = 20, .rows = 2}), 3);
  EXPECT_EQ(within({.from = 41, .rows = 0}), 0);
  EXPECT_EQ(within({.to = 0, .rows = 0}), 1);
  EXPECT_EQ(within({.to = -1, .rows = 0}), 0);
  EXPECT_EQ(within({.from = 10, .to = 30, .rows = 3}), 3);
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "elsewhere", "Calais", "c")));
  const CommitResult all = Commit({ExpectAtMost{&kBoats, RowsOfOrganization("acme"), 6},
                                   ExpectAtMost{&kBoats, RowsOfOrganization("acme"), 5}});
  EXPECT_THAT(all.status, StatusIs(absl::StatusCode::kResourceExhausted, _));
  EXPECT_EQ(all.refused, 1u);
  ASSERT_EQ(all.counts.size(), 2u);
  EXPECT_EQ(all.counts[0].rows, 6);
  EXPECT_EQ(all.counts[1].rows, 6);
  EXPECT_OK(Commit({ExpectAtMost{&kBoats, RowsOfOrganization("nobody"), 0}}).status);

  const ExpectAtMost too_many{&kBoats, in_ostend, 4, ExpectAtMost::Within{.rows = 5}};
  EXPECT_THAT(Commit({too_many}).status, StatusIs(absl::StatusCode::kResourceExhausted, _));
}

TEST_P(BackendConformanceTest, NothingIsBegunForACallerWhoNoLongerWaits) {
  ASSERT_OK(InsertRow(kFlags, Flag("f")));
  CallContext gone(absl::InfiniteFuture());
  gone.Cancel();
  const CallContext late(absl::Now() - absl::Seconds(1));
  const std::vector<std::pair<const CallContext*, absl::StatusCode>> contexts = {
      {&gone, absl::StatusCode::kCancelled}, {&late, absl::StatusCode::kDeadlineExceeded}};
  for (const auto& [context, code] : contexts) {
    EXPECT_THAT(backend_->Get(*context, kFlags, "", "f", 1), StatusIs(code, _));
    EXPECT_THAT(backend_->Find(*context, kBoats, InHarbour("a", "b"), 1), StatusIs(code, _));
    EXPECT_THAT(backend_->List(*context, kFlags, std::nullopt, "", {.rows = 5}, 1),
                StatusIs(code, _));
    EXPECT_THAT(backend_->ListFound(*context, kBoats, RowsOfOrganization("a"), "", {.rows = 5}, 1),
                StatusIs(code, _));
    EXPECT_THAT(backend_->Count(*context, kBoats, InHarbour("a", "b"), 5), StatusIs(code, _));
    EXPECT_THAT(backend_->ListDue(*context, kFleets, 1, 1), StatusIs(code, _));
    EXPECT_THAT(backend_->ListDueAfter(*context, kBoats, {}, 1, 1), StatusIs(code, _));
    EXPECT_THAT(backend_->CountDue(*context, kBoats, 1, 1), StatusIs(code, _));
    EXPECT_THAT(backend_->ListNumbered(*context, kLog, "a", 1, {.rows = 5}, 1), StatusIs(code, _));
    EXPECT_THAT(backend_->HighestNumber(*context, kLog, "a"), StatusIs(code, _));
    EXPECT_THAT(backend_->ListValues(*context, kBoats, kByHarbour, "a"), StatusIs(code, _));
    const uint64_t commits = backend_->Stats().writes;
    EXPECT_THAT(backend_->Commit(*context, {Insert{&kFlags, Flag("g")}}).status, StatusIs(code, _));
    EXPECT_EQ(backend_->Stats().writes, commits);
  }
  EXPECT_THAT(GetRow(kFlags, "", "g"), StatusIs(kNotFound, _));
  EXPECT_EQ(backend_->Stats().errors, 0u);
}

TEST_P(BackendConformanceTest, WhileNothingCanBeWrittenReadsGoOnAndTheProbesTellThemApart) {
  ASSERT_OK(InsertRow(kFlags, Flag("f")));
  absl::Status write, probe, probe_after_delete, probe_reads, read;
  {
    const std::shared_ptr<void> stopped = database_->StopWrites();
    write = InsertRow(kFlags, Flag("another", "", std::string(100'000, 'x')));
    probe = backend_->Probe();
    // Whether or not this needs to write, that it finds nothing to delete proves nothing.
    DeleteRow(kFlags, "", "nothing").IgnoreError();
    probe_after_delete = backend_->Probe();
    probe_reads = backend_->ProbeReads();
    read = GetRow(kFlags, "", "f").status();
  }
  EXPECT_THAT(write, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(probe, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(probe_after_delete, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_OK(probe_reads);
  EXPECT_OK(read);
  EXPECT_OK(backend_->Probe());
  EXPECT_OK(backend_->ProbeReads());
  EXPECT_OK(InsertRow(kFlags, Flag("another")));
}

TEST_P(BackendConformanceTest, VersionsAndValuesMayBeLarge) {
  ASSERT_OK(InsertRow(kFlags, Flag("large", "", std::string(1 << 20, '\xFF'))));
  ASSERT_OK_AND_ASSIGN(const Row large, GetRow(kFlags, "", "large"));
  EXPECT_EQ(large.parts[0].size(), size_t{1} << 20);
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  Row row = Flag("f");
  row.version = kLargest;
  ASSERT_OK(InsertRow(kFlags, row));
  row.version = kLargest - 1;
  ASSERT_OK(UpdateRow(kFlags, row, kLargest));
  ASSERT_OK_AND_ASSIGN(const Row found, GetRow(kFlags, "", "f"));
  EXPECT_EQ(found.version, kLargest - 1);
}

TEST_P(BackendConformanceTest, WhatWasWrittenIsThereAfterReopening) {
  ASSERT_OK(backend_->PutMeta("name", "value"));
  ASSERT_OK(InsertRow(kFleets, Fleet("acme")));
  ASSERT_OK(InsertRow(kFlags, Flag("f", "acme")));
  ASSERT_OK(InsertRow(kBoats, Boat("acme", "b", "Ostend")));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const std::optional<std::string> value, backend_->GetMeta("name"));
  EXPECT_THAT(value, Optional(std::string("value")));
  EXPECT_OK(GetRow(kFleets, "acme", "acme"));
  EXPECT_OK(GetRow(kFlags, "", "f"));
  ASSERT_OK_AND_ASSIGN(const Row row, GetRow(kBoats, "acme", "b"));
  EXPECT_EQ(row.parts[1], "treasure of b");
}

TEST_P(BackendConformanceTest, EveryThreadReadsWhatItHasWritten) {
  constexpr int kThreads = 8;
  constexpr int kWrites = 25;
  std::atomic<int> missing = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        if (!InsertRow(kFleets, Fleet(id)).ok()) ++missing;
        if (!GetRow(kFleets, id, id).ok()) ++missing;
        if (!backend_->List(NoLimit(), kFleets, std::nullopt, "", {.rows = 5}, 1).ok()) ++missing;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(missing, 0);
  ASSERT_OK_AND_ASSIGN(const RowPage all,
                       backend_->List(NoLimit(), kFleets, std::nullopt, "", {.rows = 1000}, 0));
  EXPECT_EQ(all.rows.size(), size_t{kThreads} * kWrites);
}

// Backends may put batches that come at the same time into one transaction.
TEST_P(BackendConformanceTest, OfManyBatchesAtOnceEachIsDoneOrNotOnItsOwn) {
  constexpr int kThreads = 32;
  constexpr int kRounds = 20;
  ASSERT_OK(InsertRow(kFleets, Fleet("acme")));
  ASSERT_OK(InsertRow(kFlags, Flag("shared", "acme", "shared")));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto expect = [&](const Batch& batch, absl::StatusCode code) {
        if (Commit(batch).status.code() != code) ++wrong;
      };
      for (int i = 0; i < kRounds; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        Row second = Flag(id, "acme", "second");
        second.version = 2;
        const ExpectVersion lives{&kFleets, "acme", "acme", 1};
        expect({lives, Insert{&kFlags, Flag(id, "acme")}}, absl::StatusCode::kOk);
        expect({Insert{&kBoats, Boat("acme", "half-" + id, "half-" + id)},
                Insert{&kFlags, Flag("shared", "acme")}},
               kAlreadyExists);
        expect({Insert{&kFlags, Flag("orphan-" + id)}, ExpectVersion{&kFleets, "x", "x", 1}},
               kNotFound);
        expect({Insert{&kBoats, Boat("acme", id, id)}}, absl::StatusCode::kOk);
        expect({Insert{&kBoats, Boat("acme", "twin-" + id, id)}}, kAlreadyExists);
        expect({Update{&kFlags, second, 2}}, kAborted);
        expect({Update{&kFlags, second, 1}}, absl::StatusCode::kOk);
        expect({Delete{&kBoats, "acme", "twin-" + id, 1}}, kNotFound);
        if (i % 2 == 0) expect({Delete{&kBoats, "acme", id, 1}}, absl::StatusCode::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  Reopen();
  const int all = kThreads * kRounds;
  ASSERT_OK_AND_ASSIGN(const RowPage flags,
                       backend_->List(NoLimit(), kFlags, std::nullopt, "", {.rows = 2 * all}, 1));
  EXPECT_EQ(flags.rows.size(), static_cast<size_t>(all) + 1);
  for (const Row& flag : flags.rows) {
    EXPECT_EQ(flag.parts[0], flag.id == "shared" ? "shared" : "second") << flag.id;
  }
  ASSERT_OK_AND_ASSIGN(const RowPage boats,
                       backend_->List(NoLimit(), kBoats, "acme", "", {.rows = 2 * all}, 0));
  EXPECT_EQ(boats.rows.size(), static_cast<size_t>(all / 2));
}

TEST_P(BackendConformanceTest, WritesAreCounted) {
  const BackendStats before = backend_->Stats();
  ASSERT_OK(InsertRow(kFlags, Flag("a")));
  ASSERT_OK(Commit({Insert{&kFlags, Flag("b")}, Insert{&kFlags, Flag("c")}}).status);
  EXPECT_THAT(InsertRow(kFlags, Flag("a")), StatusIs(kAlreadyExists, _));
  const BackendStats after = backend_->Stats();
  EXPECT_EQ(after.writes - before.writes, 2u);
  EXPECT_EQ(after.commits - before.commits, 2u);
  EXPECT_EQ(after.largest_commit, 1u);
  EXPECT_EQ(after.waiting_writes, 0u);
  EXPECT_EQ(after.errors, 0u);
  const std::shared_ptr<void> stopped = database_->StopWrites();
  EXPECT_THAT(InsertRow(kFlags, Flag("d", "", std::string(100'000, 'x'))),
              HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(backend_->Stats().writes, after.writes);
  EXPECT_GT(backend_->Stats().errors, 0u);
}

// A sealed value as far as a backend can read it.
std::string Under(uint8_t key_id, absl::string_view rest = "rest") {
  return absl::StrCat(std::string({'\1', static_cast<char>(key_id)}), rest);
}

TEST_P(BackendConformanceTest, KeysInUseAreThoseThatATableHasRowsUnder) {
  EXPECT_THAT(backend_->ListKeysInUse(kFlags), IsOkAndHolds(IsEmpty()));
  for (const auto& [id, cloth] : {std::pair<std::string, std::string>("a", Under(200)),
                                  {"b", Under(7)},
                                  {"c", Under(7)},
                                  {"short", "\1"},
                                  {"empty", ""},
                                  {"d", Under(255)},
                                  {"e", Under(0)}}) {
    ASSERT_OK(InsertRow(kFlags, Flag(id, "", cloth)));
  }
  Row boat = Boat("acme", "b", "Ostend");
  // Only the first part counts.
  boat.parts = {Under(8), Under(9)};
  ASSERT_OK(InsertRow(kBoats, boat));
  EXPECT_THAT(backend_->ListKeysInUse(kFlags), IsOkAndHolds(ElementsAre(0, 7, 200, 255)));
  EXPECT_THAT(backend_->ListKeysInUse(kBoats), IsOkAndHolds(ElementsAre(8)));
  ASSERT_OK(UpdateRow(kFlags, Flag("a", "", Under(5)), 1));
  ASSERT_OK(DeleteRow(kFlags, "", "d"));
  ASSERT_OK(DeleteRow(kFlags, "", "e"));
  EXPECT_THAT(backend_->ListKeysInUse(kFlags), IsOkAndHolds(ElementsAre(5, 7)));
}

TEST_P(BackendConformanceTest, RowsUnderAKeyComeWholeAndOnceWhateverIsDeletedInBetween) {
  constexpr int kRows = 7;
  for (int i = 0; i < kRows; ++i) {
    const std::string id = absl::StrCat("r", kRows - i);
    const uint8_t key = i == 3 ? 2 : 1;
    ASSERT_OK(InsertRow(kFlags, Flag(id, "", Under(key, id))));
    Row boat = Boat("org-" + id, id, "Ostend");
    boat.parts = {Under(key, id), AllBytes()};
    ASSERT_OK(InsertRow(kBoats, boat));
  }
  for (const Table* table : {&kFlags, &kBoats}) {
    std::vector<std::string> found;
    std::string from;
    bool first = true;
    do {
      ASSERT_OK_AND_ASSIGN(const RowPage page,
                           backend_->ListUnderKey(*table, 1, from, {.rows = 2}));
      EXPECT_LE(page.rows.size(), 2u);
      for (const Row& row : page.rows) {
        ASSERT_EQ(row.parts.size(), table->parts.size());
        EXPECT_EQ(row.parts[0], Under(1, row.id));
        EXPECT_TRUE(table != &kBoats || row.parts[1] == AllBytes());
        found.push_back(row.id);
      }
      // The row that the position is made of, and the one before it.
      if (std::exchange(first, false)) {
        for (const Row& row : page.rows) ASSERT_OK(DeleteRow(*table, row.org_id, row.id, 1));
      }
      from = page.next;
    } while (!from.empty());
    std::sort(found.begin(), found.end());
    EXPECT_THAT(found, ElementsAre("r1", "r2", "r3", "r5", "r6", "r7"));
    ASSERT_OK_AND_ASSIGN(const RowPage other, backend_->ListUnderKey(*table, 2, "", {.rows = 2}));
    EXPECT_EQ(Ids(other), "r4");
    EXPECT_EQ(other.next, "");
  }
}

TEST_P(BackendConformanceTest, OfTwoUpdatesFromOneVersionExactlyOneWins) {
  constexpr int kThreads = 8;
  constexpr uint64_t kVersions = 50;
  ASSERT_OK(InsertRow(kFlags, Flag("f")));
  std::atomic<uint64_t> won = 0;
  std::atomic<int> odd = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (uint64_t version = 1; version <= kVersions; ++version) {
        Row row = Flag("f");
        row.version = version + 1;
        const absl::Status status = UpdateRow(kFlags, row, version);
        if (status.ok()) ++won;
        if (!status.ok() && !absl::IsAborted(status)) ++odd;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(odd, 0);
  ASSERT_OK_AND_ASSIGN(const Row row, GetRow(kFlags, "", "f"));
  EXPECT_EQ(row.version, won + 1);
}

}  // namespace authurl::testing
