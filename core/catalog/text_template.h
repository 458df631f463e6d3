// text_template.h: the templates and selectors of catalog entries, as texts
// (proto/authurl/catalog/v1/completion.proto says what they mean).
//
// Pure. Nothing here quotes a value, which may be a secret.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

// A piece of a template: literal text, or a name in braces.
struct TemplatePart {
  bool is_name = false;
  // "{+name}": to stay as it is in a URL.
  bool is_path = false;
  absl::string_view text;
};

// The pieces of `text`, of which they are views. InvalidArgumentError where braces do not pair.
absl::StatusOr<std::vector<TemplatePart>> ParseTemplate(absl::string_view text);

// What a name stands for; nothing where it is not there.
using TemplateValues = absl::FunctionRef<std::optional<std::string>(absl::string_view name)>;

// The text with its names replaced. Nothing where one of them has no value.
std::optional<std::string> ExpandTemplate(absl::string_view text, TemplateValues values);
// The same for a URL: values are percent-encoded, but for those of "{+name}", which count as not
// there where they have other characters than a path.
std::optional<std::string> ExpandUrlTemplate(absl::string_view text, TemplateValues values);

// Where a pointer begins.
enum class SelectorRoot { kAnswer, kToken, kIdToken, kCallback, kParent, kKept };

enum class SelectorFilter { kNone, kLastSegment, kHtml };

// A piece of a selector: literal text, or what a pointer finds.
struct SelectorPart {
  bool is_pointer = false;
  // Literal text; or the pointer, a view of the selector's.
  absl::string_view text;
  SelectorRoot root = SelectorRoot::kAnswer;
  SelectorFilter filter = SelectorFilter::kNone;
};

// InvalidArgumentError where it is neither a pointer nor a text with pointers in braces. The
// message continues a sentence that begins with the name of the field.
absl::StatusOr<std::vector<SelectorPart>> ParseSelector(absl::string_view text);

}  // namespace authurl
