#pragma once
/// \file What kind of thing a question asks for, by its words: the expected answer type of question answering (Li and Roth, 2002), of which one kind is told here.
#include <string_view>

namespace tenfold::retrieval {

/// Whether it asks for a date, a time, a duration, an amount or a price: "until when", "how long", "wie viel", "combien". English, German, Dutch, French, Italian, Spanish and Portuguese;
/// false for other languages and for questions that give their own kind away in no word. Threads: safe.
bool AsksForFigure(std::string_view question);
/// Whether it holds a number, in digits or in a word of those languages.
bool HasFigure(std::string_view sentence);

}  // namespace tenfold::retrieval
