#include "storage/record_size.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/build_kind.h"

namespace authurl::testing {
namespace {

using google::protobuf::FieldDescriptor;
using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialNetworkSettings;

std::string Varint(size_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes.push_back(static_cast<char>(number | 0x80));
  bytes.push_back(static_cast<char>(number));
  return bytes;
}

std::string LengthDelimited(int field, const std::string& value) {
  return Varint(static_cast<size_t>(field) << 3 | 2) + Varint(value.size()) + value;
}

// A record in which one field has so many characters, made as if it came from the database.
template <typename Record>
Record WithOneField(const FieldDescriptor& field, size_t characters) {
  const std::string text(characters, 'x');
  const std::string value =
      field.is_map() ? LengthDelimited(1, "key") + LengthDelimited(2, text) : text;
  Record record;
  EXPECT_TRUE(record.ParseFromString(LengthDelimited(field.number(), value)));
  EXPECT_GT(record.ByteSizeLong(), characters) << field.full_name();
  return record;
}

template <typename Record>
void ExpectEveryFieldCounts() {
  const size_t empty = SharedBytes(Record());
  EXPECT_GE(empty, sizeof(Record));
  const auto& type = *Record::descriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool has_text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING || field.is_map();
    // Numbers are part of the object. Other kinds of fields need to be counted, and tested, first.
    ASSERT_TRUE(has_text || field.cpp_type() < FieldDescriptor::CPPTYPE_STRING ||
                field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM)
        << field.full_name();
    if (!has_text) continue;
    EXPECT_GT(SharedBytes(WithOneField<Record>(field, 10'000)), empty + 10'000)
        << field.full_name() << " is not counted";
    EXPECT_LT(SharedBytes(WithOneField<Record>(field, 10'000)), empty + 10'300)
        << field.full_name();
  }
}

TEST(RecordSizeTest, EveryFieldThatCanBeLargeIsCounted) {
  ExpectEveryFieldCounts<ApiKey>();
  ExpectEveryFieldCounts<Organization>();
  ExpectEveryFieldCounts<SocialNetworkSettings>();
  ExpectEveryFieldCounts<record::v1::Grant>();
  ExpectEveryFieldCounts<record::v1::SocialAccount>();
}

// What the allocator says that `count` copies take, read as if from the database, and what is
// counted for one, as a proportion.
template <typename Record>
double Counted(const Record& record) {
  constexpr size_t kCount = 1000;
  const std::string bytes = record.SerializeAsString();
  std::vector<std::shared_ptr<const Record>> copies(kCount);
  size_t counted = 0;
  const size_t before = mallinfo2().uordblks;
  for (auto& copy : copies) {
    const auto parsed = std::make_shared<Record>();
    EXPECT_TRUE(parsed->ParseFromString(bytes));
    counted += SharedBytes(*parsed);
    copy = parsed;
  }
  return static_cast<double>(counted) / static_cast<double>(mallinfo2().uordblks - before);
}

TEST(RecordSizeTest, TheCountIsWhatTheAllocatorSays) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator takes more";
  std::vector<SocialNetworkSettings> all(4);
  all[0].set_id("short");
  all[0].set_network("google");
  all[1].set_id(std::string(32, 'i'));
  all[1].set_org_id("acme");
  all[1].set_network("youtube");
  all[1].set_client_key(std::string(72, 'k'));
  all[1].set_default_redirect_uri("https://app.acme.example/oauth/callback");
  all[1].add_allowed_redirect_uris("https://app.acme.example/oauth/callback");
  all[1].add_scopes("profile");
  all[1].add_allowed_return_uris("https://app.acme.example/connected");
  all[1].set_default_return_uri("https://app.acme.example/connected/by/default");
  all[1].set_callback_context(std::string(22, 'c'));
  (*all[1].mutable_extra_params())["prompt"] = "consent";
  for (int i = 0; i < 50; ++i) {
    all[2].add_allowed_redirect_uris(std::string(static_cast<size_t>(10 * i), 'u'));
    all[2].add_scopes("scope");
    (*all[3].mutable_extra_params())[absl::StrCat("parameter-", i)] = std::string(40, 'v');
    (*all[3].mutable_variables())[absl::StrCat("v", i)] = std::string(1, 'v');
  }
  for (const SocialNetworkSettings& settings : all) {
    EXPECT_NEAR(Counted(settings), 1.0, 0.03) << settings.ByteSizeLong();
  }
  ApiKey key;
  EXPECT_NEAR(Counted(key), 1.0, 0.03);
  key.set_key_id("0123456789abcdef");
  key.set_org_id("an-organisation-with-a-long-id");
  key.set_digest(std::string(32, '\xFF'));
  EXPECT_NEAR(Counted(key), 1.0, 0.03);
  Organization organization;
  organization.set_org_id("acme");
  organization.set_display_name("The people of acme");
  EXPECT_NEAR(Counted(organization), 1.0, 0.03);
  record::v1::Grant grant;
  grant.set_id("gr_0123456789abcdefghij");
  grant.set_org_id("acme");
  grant.set_client_id(std::string(72, 'k'));
  for (int i = 0; i < 10; ++i) grant.add_scopes(std::string(static_cast<size_t>(5 * i), 's'));
  EXPECT_NEAR(Counted(grant), 1.0, 0.03);
  record::v1::SocialAccount account;
  account.set_id("sa_0123456789abcdefghij");
  account.set_grant_id(grant.id());
  account.set_username("somebody");
  account.set_avatar_url("https://cdn.example.com/profile_images/1234567890.jpg");
  *account.mutable_granted_scopes() = grant.scopes();
  EXPECT_NEAR(Counted(account), 1.0, 0.03);
}

}  // namespace
}  // namespace authurl::testing
