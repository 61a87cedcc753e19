#pragma once
/// \file For tests and benchmarks: files of the formats that need a program to write.
#include <archive.h>
#include <archive_entry.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenfold::data::parsers {

/// A line of text at `x` and `y` points from the page's lower left corner.
struct PdfLine {
  double x, y, size;
  std::string text;
};

/// A PDF of A4 pages in Helvetica. `trailer` goes into the trailer, `objects` follow those of the pages (numbers from 4 + 2 * pages).
inline std::string MakePdf(const std::vector<std::vector<PdfLine>>& pages, const std::string& trailer = {}, const std::vector<std::string>& more = {}) {
  std::vector<std::string> objects{"<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"};
  std::string kids;
  for (const auto& page : pages) {
    std::string content;
    for (const auto& line : page) {
      std::string escaped;
      for (const char c : line.text) {
        if (c == '(' || c == ')' || c == '\\') escaped += '\\';
        escaped += c;
      }
      content += "BT /F1 " + std::to_string(line.size) + " Tf " + std::to_string(line.x) + " " + std::to_string(line.y) + " Td (" + escaped + ") Tj ET\n";
    }
    objects.push_back("<< /Length " + std::to_string(content.size()) + " >>\nstream\n" + content + "\nendstream");
    objects.push_back("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents " + std::to_string(objects.size()) + " 0 R /Resources << /Font << /F1 3 0 R >> >> >>");
    kids += std::to_string(objects.size()) + " 0 R ";
  }
  objects[1] = "<< /Type /Pages /Kids [" + kids + "] /Count " + std::to_string(pages.size()) + " >>";
  objects.insert(objects.end(), more.begin(), more.end());
  std::string out = "%PDF-1.4\n";
  std::string table = "xref\n0 " + std::to_string(objects.size() + 1) + "\n0000000000 65535 f \n";
  for (std::size_t i = 0; i < objects.size(); ++i) {
    char row[32];
    std::snprintf(row, sizeof row, "%010zu 00000 n \n", out.size());
    table += row;
    out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  const auto start = out.size();
  return out + table + "trailer << /Size " + std::to_string(objects.size() + 1) + " /Root 1 0 R " + trailer + " >>\nstartxref\n" + std::to_string(start) + "\n%%EOF\n";
}

/// A PDF of one page that is a grey picture of `width` * `height` bytes, 200 dots an inch.
inline std::string MakeScannedPdf(std::string_view pixels, int width, int height) {
  const double w = width * 72 / 200.0, h = height * 72 / 200.0;
  const std::string content = "q " + std::to_string(w) + " 0 0 " + std::to_string(h) + " 0 0 cm /I Do Q";
  std::vector<std::string> objects{"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [4 0 R] /Count 1 >>", "<< /Length " + std::to_string(content.size()) + " >>\nstream\n" + content + "\nendstream",
                                   "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 " + std::to_string(w) + " " + std::to_string(h) + "] /Contents 3 0 R /Resources << /XObject << /I 5 0 R >> >> >>",
                                   "<< /Type /XObject /Subtype /Image /Width " + std::to_string(width) + " /Height " + std::to_string(height) + " /ColorSpace /DeviceGray /BitsPerComponent 8 /Length " +
                                       std::to_string(pixels.size()) + " >>\nstream\n" + std::string(pixels) + "\nendstream"};
  std::string out = "%PDF-1.4\n";
  std::string table = "xref\n0 6\n0000000000 65535 f \n";
  for (std::size_t i = 0; i < objects.size(); ++i) {
    char row[32];
    std::snprintf(row, sizeof row, "%010zu 00000 n \n", out.size());
    table += row;
    out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  const auto start = out.size();
  return out + table + "trailer << /Size 6 /Root 1 0 R >>\nstartxref\n" + std::to_string(start) + "\n%%EOF\n";
}

/// `password`: members are encrypted with it, as the zip tools do it.
inline std::string MakeZip(const std::vector<std::pair<std::string, std::string>>& members, const char* password = nullptr) {
  std::string out;
  archive* a = archive_write_new();
  archive_write_set_format_zip(a);
  if (password) {
    archive_write_set_options(a, "zip:encryption=zipcrypt");
    archive_write_set_passphrase(a, password);
  }
  archive_write_set_bytes_per_block(a, 0);
  archive_write_open(
      a, &out, nullptr,
      [](archive*, void* to, const void* bytes, std::size_t size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
        return static_cast<la_ssize_t>(size);
      },
      nullptr);
  archive_entry* entry = archive_entry_new();
  for (const auto& [name, bytes] : members) {
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(a, entry);
    archive_write_data(a, bytes.data(), bytes.size());
  }
  archive_entry_free(entry);
  archive_write_close(a);
  archive_write_free(a);
  return out;
}

}  // namespace tenfold::data::parsers
