// raw_database.h: the database file as somebody with the sqlite3 shell sees and edits it.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <vector>

namespace authurl::testing {

class RawDatabase final {
 public:
  explicit RawDatabase(const std::string& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK) << path;
  }
  ~RawDatabase() { sqlite3_close(db_); }
  RawDatabase(const RawDatabase&) = delete;
  RawDatabase& operator=(const RawDatabase&) = delete;

  sqlite3* get() const { return db_; }

  // Runs statements without parameters and fails the test if one fails.
  void Execute(const std::string& sql) const {
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
  }

  // The first column of every row.
  std::vector<std::string> Column(const std::string& sql) const {
    std::vector<std::string> values;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
    while (sqlite3_step(statement) == SQLITE_ROW) {
      const auto* text = static_cast<const char*>(sqlite3_column_blob(statement, 0));
      values.emplace_back(text == nullptr ? "" : text, sqlite3_column_bytes(statement, 0));
    }
    sqlite3_finalize(statement);
    return values;
  }

  // The first column of the first row.
  std::string Value(const std::string& sql) const {
    const std::vector<std::string> values = Column(sql);
    return values.empty() ? "(no row)" : values.front();
  }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace authurl::testing
