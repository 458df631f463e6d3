#include "server/serving/hello.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/flood.h"

namespace authurl::testing {
namespace {

std::string Record(const std::string& bytes) {
  return std::string("\x16\x03\x01", 3) + static_cast<char>(bytes.size() >> 8) +
         static_cast<char>(bytes.size()) + bytes;
}

std::string Message(size_t size) {
  return std::string("\x01", 1) + static_cast<char>(size >> 16) + static_cast<char>(size >> 8) +
         static_cast<char>(size) + std::string(size, 'x');
}

// Every beginning of it is unfinished, and it is whole with whatever follows.
void ExpectWhole(const std::string& hello) {
  for (size_t size = 0; size < hello.size(); ++size) {
    ASSERT_EQ(LookAtTlsHello(hello.substr(0, size)), Hello::kUnfinished) << size;
  }
  EXPECT_EQ(LookAtTlsHello(hello), Hello::kWhole);
  EXPECT_EQ(LookAtTlsHello(hello + "\x14\x03\x03"), Hello::kWhole);
}

TEST(HelloTest, ClientHelloIsWholeAtItsLastByte) {
  ExpectWhole(TlsClientHello());
  ExpectWhole(Record(Message(300)));
}

TEST(HelloTest, ClientHelloMayBeCutIntoRecordsAnywhere) {
  const std::string message = Message(300);
  for (size_t cut = 1; cut < message.size(); ++cut) {
    const std::string hello = Record(message.substr(0, cut)) + Record(message.substr(cut));
    ASSERT_EQ(LookAtTlsHello(hello), Hello::kWhole) << cut;
    ASSERT_EQ(LookAtTlsHello(hello.substr(0, hello.size() - 1)), Hello::kUnfinished) << cut;
  }
  std::string hello;
  for (const char byte : message) hello += Record(std::string(1, byte));
  ExpectWhole(hello);
}

TEST(HelloTest, WhatIsNoClientHelloIsWrongAtOnce) {
  EXPECT_EQ(LookAtTlsHello("G"), Hello::kWrong);
  EXPECT_EQ(LookAtTlsHello("PRI * HTTP/2.0\r\n"), Hello::kWrong);
  EXPECT_EQ(LookAtTlsHello("\x16\x02"), Hello::kWrong);
  // An empty record, one that is too long, and the message of a server.
  EXPECT_EQ(LookAtTlsHello(std::string("\x16\x03\x01\x00\x00", 5)), Hello::kWrong);
  EXPECT_EQ(LookAtTlsHello(std::string("\x16\x03\x01\x40\x01", 5)), Hello::kWrong);
  EXPECT_EQ(LookAtTlsHello(std::string("\x16\x03\x01\x00\x10\x02", 6)), Hello::kWrong);
}

TEST(HelloTest, ClientHelloThatWantsToBeLargeIsWrong) {
  EXPECT_EQ(LookAtTlsHello(Record(Message(kMaxHelloBytes - 4)).substr(0, 20)), Hello::kUnfinished);
  EXPECT_EQ(LookAtTlsHello(std::string("\x16\x03\x01\x10\x00\x01\x00\x40\x00", 9)), Hello::kWrong);
}

TEST(HelloTest, PrefaceOfHttp2IsWholeAtItsLastByte) {
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (size_t size = 0; size < preface.size(); ++size) {
    EXPECT_EQ(LookAtHttp2Preface(preface.substr(0, size)), Hello::kUnfinished);
  }
  EXPECT_EQ(LookAtHttp2Preface(preface), Hello::kWhole);
  EXPECT_EQ(LookAtHttp2Preface(preface + "\x04"), Hello::kWhole);
  EXPECT_EQ(LookAtHttp2Preface("GET / HTTP/1.1\r\n"), Hello::kWrong);
  EXPECT_EQ(LookAtHttp2Preface("\x16"), Hello::kWrong);
}

}  // namespace
}  // namespace authurl::testing
