#include "interface/ui_message.h"

namespace tenfold::interface {
namespace {

std::string Text(const JsonObject& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  return value && value->is_string() ? std::string(AsView(value->get_string())) : std::string();
}

JsonObject CitationOf(const JsonObject& source) {
  const auto& document = source.at("document").get_object();
  return {{"number", source.at("number")}, {"document", document.at("id")}, {"title", document.at("title")}, {"uri", document.at("uri")}, {"span", source.at("span")}, {"quote", source.at("quote")}};
}

std::string CitationId(const JsonObject& source) { return "citation-" + ToText(source.at("number")); }

/// Which bytes of a cited document support the sentence whose marker is the next one of that number.
JsonObject SupportPart(const JsonObject& support, int number) { return {{"type", "data-support"}, {"id", "support-" + std::to_string(number)}, {"data", support}}; }

JsonObject FinalMetadata(const JsonObject& finished) {
  JsonObject out;
  for (const char* name : {"answer", "version", "grounding", "total_us", "ttft_us", "completion_tokens"}) out[name] = finished.at(name);
  return out;
}

}  // namespace

void UiStream::CloseText(std::vector<Json>& parts) {
  if (!in_text_) return;
  in_text_ = false;
  parts.push_back(JsonObject{{"type", "text-end"}, {"id", "text-" + std::to_string(texts_)}});
}

std::vector<Json> UiStream::Take(const workflows::RunEvent& event) {
  std::vector<Json> parts;
  const auto* data = event.data.if_object();
  if (!data) return parts;
  if (!started_) {
    started_ = true;
    JsonObject start{{"type", "start"}, {"messageId", answer_}};
    JsonObject metadata{{"answer", answer_}};
    if (event.type == "started") metadata["version"] = data->at("version");
    start["messageMetadata"] = std::move(metadata);
    parts.push_back(std::move(start));
    parts.push_back(JsonObject{{"type", "start-step"}});
  }
  if (event.type == "stage") {
    parts.push_back(JsonObject{{"type", "data-stage"}, {"data", *data}, {"transient", true}});
  } else if (event.type == "source") {
    parts.push_back(JsonObject{{"type", "data-citation"}, {"id", CitationId(*data)}, {"data", CitationOf(*data)}});
    const auto& document = data->at("document").get_object();
    parts.push_back(JsonObject{{"type", "source-document"}, {"sourceId", CitationId(*data)}, {"mediaType", "text/markdown"}, {"title", document.at("title")}, {"filename", document.at("uri")}});
  } else if (event.type == "support") {
    parts.push_back(SupportPart(*data, ++supports_));
  } else if (event.type == "token") {
    if (!in_text_) {
      in_text_ = true;
      parts.push_back(JsonObject{{"type", "text-start"}, {"id", "text-" + std::to_string(++texts_)}});
    }
    parts.push_back(JsonObject{{"type", "text-delta"}, {"id", "text-" + std::to_string(texts_)}, {"delta", data->at("text")}});
  } else if (event.type == "tool_call") {
    CloseText(parts);
    parts.push_back(JsonObject{{"type", "tool-input-available"}, {"toolCallId", event.run + "/" + Text(*data, "call")}, {"toolName", data->at("name")}, {"input", data->at("input")}, {"dynamic", true}, {"providerExecuted", true}});
  } else if (event.type == "approval_asked") {
    parts.push_back(JsonObject{{"type", "tool-approval-request"}, {"approvalId", data->at("approval")}, {"toolCallId", event.run + "/" + Text(*data, "call")}});
  } else if (event.type == "tool_result") {
    parts.push_back(JsonObject{{"type", "tool-output-available"}, {"toolCallId", event.run + "/" + Text(*data, "call")}, {"output", data->at("output")}, {"dynamic", true}, {"providerExecuted", true}});
  } else if (event.type == "tool_denied") {
    parts.push_back(JsonObject{{"type", "tool-output-denied"}, {"toolCallId", event.run + "/" + Text(*data, "call")}});
  } else if (event.type == "verdict") {
    CloseText(parts);
    parts.push_back(JsonObject{{"type", "data-verdict"}, {"id", "verdict"}, {"data", *data}});
  } else if (event.type == "finished") {
    CloseText(parts);
    finished_ = true;
    parts.push_back(JsonObject{{"type", "finish-step"}});
    parts.push_back(JsonObject{{"type", "finish"}, {"finishReason", "stop"}, {"messageMetadata", FinalMetadata(*data)}});
  }
  return parts;
}

std::vector<Json> UiStream::End(workflows::RunState state, const std::string& error) {
  std::vector<Json> parts;
  if (finished_) return parts;
  CloseText(parts);
  switch (state) {
    case workflows::RunState::kWaiting:
      parts.push_back(JsonObject{{"type", "finish-step"}});
      parts.push_back(JsonObject{{"type", "finish"}, {"finishReason", "tool-calls"}});
      break;
    case workflows::RunState::kCancelled:
      parts.push_back(JsonObject{{"type", "finish-step"}});
      parts.push_back(JsonObject{{"type", "abort"}});
      break;
    case workflows::RunState::kFailed:
    case workflows::RunState::kQueued:
    case workflows::RunState::kRunning:
    case workflows::RunState::kFinished:
      parts.push_back(JsonObject{{"type", "error"}, {"errorText", error.empty() ? "The answer could not be completed. Please try again." : error}});
      break;
  }
  return parts;
}

Json UiMessageOf(const std::string& answer, const std::vector<workflows::RunEvent>& events) {
  JsonArray parts;
  JsonObject metadata{{"answer", answer}};
  std::map<std::string, std::size_t> tools;  // call -> part
  bool in_text = false;
  int supports = 0;
  parts.push_back(JsonObject{{"type", "step-start"}});
  for (const auto& event : events) {
    const auto* data = event.data.if_object();
    if (!data) continue;
    const auto tool = [&]() -> JsonObject* {
      const auto found = tools.find(Text(*data, "call"));
      return found == tools.end() ? nullptr : &parts[found->second].get_object();
    };
    if (event.type == "token") {
      if (!in_text) parts.push_back(JsonObject{{"type", "text"}, {"text", ""}, {"state", "done"}});
      in_text = true;
      auto& text = parts.back().get_object().at("text").get_string();
      text += data->at("text").get_string();
      continue;
    }
    if (event.type == "source" || event.type == "support") {
      // Sources stand before the text that cites them; a source in mid-text must not cut the text in two.
      const auto at = in_text ? parts.end() - 1 : parts.end();
      const auto shift = static_cast<std::size_t>(at - parts.begin());
      parts.insert(at, event.type == "support" ? SupportPart(*data, ++supports) : JsonObject{{"type", "data-citation"}, {"id", CitationId(*data)}, {"data", CitationOf(*data)}});
      for (auto& [call, index] : tools)
        if (index >= shift) ++index;
      continue;
    }
    if (event.type == "tool_call") {
      in_text = false;
      tools[Text(*data, "call")] = parts.size();
      parts.push_back(JsonObject{{"type", "dynamic-tool"}, {"toolName", data->at("name")}, {"toolCallId", event.run + "/" + Text(*data, "call")}, {"state", "input-available"}, {"input", data->at("input")}, {"providerExecuted", true}});
    } else if (event.type == "approval_asked") {
      if (auto* part = tool()) {
        (*part)["state"] = "approval-requested";
        (*part)["approval"] = JsonObject{{"id", data->at("approval")}};
      }
    } else if (event.type == "tool_result") {
      if (auto* part = tool()) {
        (*part)["state"] = "output-available";
        (*part)["output"] = data->at("output");
        if (auto* approval = part->if_contains("approval")) approval->get_object()["approved"] = true;
      }
    } else if (event.type == "tool_denied") {
      if (auto* part = tool()) {
        (*part)["state"] = "output-denied";
        if (auto* approval = part->if_contains("approval")) approval->get_object()["approved"] = false;
      }
    } else if (event.type == "verdict") {
      parts.push_back(JsonObject{{"type", "data-verdict"}, {"id", "verdict"}, {"data", *data}});
      in_text = false;
    } else if (event.type == "finished") {
      metadata = FinalMetadata(*data);
    }
  }
  return JsonObject{{"id", answer}, {"role", "assistant"}, {"metadata", std::move(metadata)}, {"parts", std::move(parts)}};
}

Json UserMessageOf(const std::string& answer, const std::string& text) {
  return JsonObject{{"id", answer + "-question"}, {"role", "user"}, {"parts", JsonArray{JsonObject{{"type", "text"}, {"text", text}}}}};
}

}  // namespace tenfold::interface
