#include "retrieval/answer_kind.h"

#include <gtest/gtest.h>

namespace tenfold::retrieval {
namespace {

TEST(AnswerKind, TellsQuestionsThatAskForAFigure) {
  for (const char* question : {"Until when can I return a gift?", "When does the sale end?", "I bought it online: how long may I keep it?", "What does a new zip cost?", "what TIME do you open", "Which day is it?",
                               "How much is it?", "Bis wann?", "Wie lange gilt der Gutschein?", "Wieviel kostet das?", "Hoe lang duurt het?", "Combien de jours ?", "¿Cuánto cuesta?", "Quando apre?", "¿Hasta cuándo?", "Jusqu'à quand ?", "Quanto custa?"})
    EXPECT_TRUE(AsksForFigure(question)) << question;
  for (const char* question : {"", "How do I return it?", "What happens when it rains?", "¿Qué pasa cuando llueve?", "Can I swap it?", "Wie gebe ich es zurück?", "Who pays the cost?", "Where is the shop?", "however long"})
    EXPECT_FALSE(AsksForFigure(question)) << question;
}

TEST(AnswerKind, TellsSentencesWithAFigure) {
  for (const char* sentence : {"until 31 January", "within three days", "Zwölf Monate", "five", "€5"}) EXPECT_TRUE(HasFigure(sentence)) << sentence;
  for (const char* sentence : {"", "one of them", "often", "a tense moment", "You need the order number.", "Payment is due."}) EXPECT_FALSE(HasFigure(sentence)) << sentence;
}

}  // namespace
}  // namespace tenfold::retrieval
