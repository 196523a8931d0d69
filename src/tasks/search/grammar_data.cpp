#include "tasks/search/grammar_data.h"

namespace tern::search::data {
namespace {

constexpr const char* opener_rows[] = {
    "",
    "looking for",
    "i want",
    "i need",
    "show me",
    "find",
    "find me",
    "do you have",
    "search for",
    "any",
    "where can i get",
    "buy",
    "shopping for",
    "can i get",
    "i would like",
    "give me",
    "need",
    "get me",
    "hi i need",
    "hello do you sell",
    "please show me",
    "please find",
    "want to buy",
    "help me find",
    "i would like to see",
    "list",
    "are there any",
    "got any",
    "i am after",
    "trying to find",
    "can you find",
    "could you show me",
    "im looking for",
    "where are the",
    "i am searching for",
    "we need",
    "browse",
    "hey show me",
    "what do you have in",
    "good morning i want",
};

constexpr const char* closer_rows[] = {
    "",          "please", "thanks", "if possible", "in stock",  "for my birthday",
    "as a gift", "today",  "online", "for sale",    "right now", "thank you",
};

constexpr const char* layout_rows[] = {
    "SCMABTzp", "SACMBTzp", "SBCMATzp", "CMTbazps", "SCTmbazp", "BCMTazps", "SMTcbazp",
    "ACTzbmps", "SBTcmazp", "CBTzamps", "SACTmbpz", "CMATbzps", "BTzacmps", "SMATcbzp",
    "ABCMTpzs", "STcmabzp", "CATbmspz", "MBTcaspz", "SAMTbcpz", "BACTmpzs", "CMBTazsp",
    "STbmcapz", "AMTcpbzs", "SCBTmzap", "TbcmazpS", "BMTczpas", "CTabpzms", "SABTmczp",
};

constexpr const char* compare_rows[] = {
    "*compare {a} and {b}",
    "*compare {a} with {b}",
    "{a} *vs {b}",
    "{a} *versus {b}",
    "*difference between {a} and {b}",
    "what is the *difference between {a} and {b}",
    "which is *better {a} or {b}",
    "is {a} *better than {b}",
    "should i *choose {a} or {b}",
    "what is *better {a} or {b}",
    "{a} *compared to {b}",
    "help me *choose between {a} and {b}",
    "pros and *cons of {a} and {b}",
    "how do {a} *differ from {b}",
    "are {a} *better than {b}",
    "*choose {a} or {b}",
    "please *compare {a} with {b}",
    "i want to *compare {a} and {b}",
    "can you *compare {a} and {b}",
    "{a} or {b} which is *better",
    "*comparison of {a} and {b}",
    "*comparison between {a} and {b}",
    "show me a *comparison of {a} with {b}",
    "{a} and {b} *compared",
    "whats the *difference between {a} and {b}",
    "do people *prefer {a} or {b}",
    "would you *prefer {a} or {b}",
    "{a} *against {b}",
    "how does {a} *compare to {b}",
    "{a} or rather {b} what is *better",
    "*torn between {a} and {b}",
    "cant *decide between {a} and {b}",
    "{a} or {b} which one *lasts longer",
    "is {a} *worth more than {b}",
    "what do you *recommend {a} or {b}",
    "{a} or {b} what would you *take",
};

constexpr const char* support_rows[] = {
    "i want to *return my {x}",
    "how do i *return {x}",
    "can i *return the {x} i bought",
    "*return {x} please",
    "i want a *refund for my {x}",
    "*refund for {x}",
    "when do i get my *refund for the {x}",
    "where is my *refund for {x}",
    "where is my *order of {x}",
    "*track my order of {x}",
    "*track {x}",
    "my {x} has not *arrived",
    "my {x} never *arrived",
    "when will my {x} *arrive",
    "my {x} arrived *broken",
    "the {x} i bought is *broken",
    "my {x} is *damaged",
    "the {x} came *damaged",
    "*cancel my order of {x}",
    "please *cancel the {x} i ordered",
    "i need to *cancel {x}",
    "*exchange my {x}",
    "can i *exchange the {x}",
    "i got the *wrong {x}",
    "you sent me the *wrong {x}",
    "*warranty for my {x}",
    "does my {x} have *warranty",
    "is my {x} still under *warranty",
    "*invoice for {x}",
    "i need an *invoice for my {x}",
    "*delivery status of my {x}",
    "how long does *delivery of {x} take",
    "*complaint about my {x}",
    "i have a *complaint about {x}",
    "i was charged *twice for {x}",
    "my {x} stopped *working",
    "the {x} is not *working",
    "how do i *repair my {x}",
    "can you *repair my {x}",
    "*missing parts in my {x}",
    "parts are *missing from my {x}",
    "change the *address for my {x}",
    "*shipping costs for my order of {x}",
    "talk to an *agent about my {x}",
    "customer *service about {x}",
    "my {x} does not turn *on",
    "my {x} fell *apart after a week",
    "i never *got my {x}",
    "you took my *money but no {x} came",
    "the {x} makes a strange *noise",
    "my {x} is too small can i *swap it",
    "i sent the {x} *back two weeks ago",
    "the {x} has a *crack",
    "where is the *receipt for my {x}",
    "my {x} was *stolen from the doorstep",
    "the courier *lost my {x}",
    "half of my {x} is not in the *box",
    "the {x} looks *used",
    "this is not the {x} i *ordered",
    "the {x} smells *burnt",
    "my {x} does not *fit",
    "i need *help with my {x}",
    "where is *order {n}",
    "*cancel order {n}",
    "*track order {n}",
    "*refund order {n}",
    "order {n} has not *arrived",
    "order {n} arrived *broken",
    "*return order {n}",
    "*invoice for order {n}",
    "i have a *complaint about order {n}",
    "change the *address of order {n}",
    "order {n} is *missing a part",
    "what happened to *order {n}",
};

constexpr const char* max_rows[] = {
    "under {p}",   "below {p}",        "less than {p}",    "up to {p}",    "max {p}",
    "at most {p}", "no more than {p}", "cheaper than {p}", "not over {p}", "maximum {p}",
};
constexpr const char* min_rows[] = {
    "over {p}", "above {p}", "more than {p}", "at least {p}", "min {p}", "starting at {p}", "minimum {p}",
};
constexpr const char* range_rows[] = {
    "between {a} and {b}",    "from {a} to {b}", "{a} to {b}",
    "over {a} and under {b}", "min {a} max {b}", "at least {a} and at most {b}",
    "around {a} to {b}",
};
constexpr const char* impossible_rows[] = {
    "over {a} but under {b}",          "min {a} max {b}",
    "at least {a} but at most {b}",    "above {a} and below {b}",
    "more than {a} but less than {b}", "over {a} and under {b}",
    "under {b} but over {a}",          "max {b} min {a}",
};

constexpr const char* about_rows[] = {
    "around {c}",           "about {c}",        "roughly {c}",        "{c} or so", "{c} give or take",
    "in the region of {c}", "not far from {c}", "somewhere near {c}",
};

constexpr const char* exclusion_rows[] = {
    "no {e}",
    "not {e}",
    "but not {e}",
    "without {e}",
    "but no {e}",
    "except {e}",
    "anything but {e}",
    "other than {e}",
    "just not {e}",
    "nothing in {e}",
    "i hate {e}",
    "i dont like {e}",
    "{e} is out",
    "skip {e}",
    "avoid {e}",
    "please no {e}",
    "definitely not {e}",
    "never {e}",
    "she cant stand {e}",
    "he hates {e}",
    "{e} wont do",
    "leave out {e}",
    "rather not {e}",
    "{e} is not my thing",
    "i have enough {e}",
};

constexpr const char* correction_rows[] = {
    "{w} no wait {k}",  "{w} sorry {k}",        "{w} i mean {k}",
    "{w} actually {k}", "{w} scratch that {k}", "{w} make that {k}",
    "{w} oops {k}",     "{w} ehm {k}",          "{w} well rather {k}",
    "{w} no sorry {k}", "{k} instead of {w}",   "instead of {w} {k}",
    "not {w} but {k}",  "{w} hmm better {k}",   "i said {w} but meant {k}",
    "{w} or no {k}",
};

constexpr NumberWords number_rows[] = {
    {10, "ten"},
    {15, "fifteen"},
    {20, "twenty"},
    {25, "twenty five"},
    {30, "thirty"},
    {35, "thirty five"},
    {40, "forty"},
    {45, "forty five"},
    {50, "fifty"},
    {60, "sixty"},
    {70, "seventy"},
    {75, "seventy five"},
    {80, "eighty"},
    {90, "ninety"},
    {100, "a hundred"},
    {150, "a hundred fifty"},
    {200, "two hundred"},
    {250, "two hundred fifty"},
    {300, "three hundred"},
    {400, "four hundred"},
    {500, "five hundred"},
    {600, "six hundred"},
    {800, "eight hundred"},
    {1000, "a thousand"},
};

constexpr const char* description_head_rows[] = {"something", "a thing", "anything", "one of those things"};

constexpr const char* cities =
    "paris|london|madrid|berlin|vienna|rome|oslo|dublin|lisbon|prague|tokyo|cairo|boston|chicago|sydney|"
    "mumbai";
constexpr const char* countries =
    "france|spain|germany|austria|italy|norway|ireland|portugal|japan|egypt|canada|brazil|india|"
    "mexico|kenya|peru";
constexpr const char* animals =
    "cats|elephants|penguins|lawyers|pirates|doctors|teachers|aliens|monkeys|wizards|vampires|farmers|"
    "dentists|dragons";
constexpr const char* themes =
    "love|autumn|winter|friendship|the moon|the ocean|my grandmother|freedom|rainy days|the stars|"
    "courage|time";
constexpr const char* tasks =
    "sort numbers|reverse strings|find primes|parse dates|count letters|read files|merge lists|"
    "draw circles|send emails|download pages|solve mazes|search trees";
constexpr const char* dishes =
    "pasta|pancakes|curry|goulash|paella|tomato soup|apple pie|banana bread|risotto|lasagna|sushi|tacos";
constexpr const char* words =
    "hello|goodbye|thank you very much|good night|happy birthday|see you soon|how are you|welcome home|"
    "i miss you|no problem";
constexpr const char* people =
    "napoleon|einstein|cleopatra|mozart|shakespeare|newton|gandhi|picasso|beethoven|galileo|darwin|"
    "aristotle";
constexpr const char* sports =
    "basketball|cricket|the world cup|the olympics|formula one|the marathon|golf|boxing|hockey|volleyball";
constexpr const char* aches =
    "headache|back pain|a fever|a cold|insomnia|a sore throat|stomach ache|dizziness|allergies|cough";
constexpr const char* subjects =
    "gravity|photosynthesis|black holes|inflation|democracy|evolution|quantum physics|volcanoes|"
    "vaccines|electricity|philosophy|rainbows";

constexpr OffTopic off_topic_rows[] = {
    {"weather",
     "what is the *weather in {o}|*weather in {o} tomorrow|will it *rain in {o} this weekend|*weather "
     "forecast for {o}|"
     "how is the *weather in {o}|is it going to *snow in {o}",
     cities, false},
    {"capital",
     "what is the *capital of {o}|*capital city of {o}|name the *capital of {o}|tell me the *capital of {o}|"
     "how many people *live in {o}|what language do they *speak in {o}",
     countries, false},
    {"joke",
     "tell me a *joke about {o}|*joke about {o}|do you know a *joke about {o}|make a funny *joke about {o}|"
     "another *joke about {o} please",
     animals, true},
    {"poem",
     "write a *poem about {o}|*poem about {o} please|can you write a *poem about {o}|compose a short *poem "
     "about {o}|"
     "write me a *song about {o}|sing a *song about {o}",
     themes, true},
    {"code",
     "write *python code to {o}|how do i {o} in *python|*javascript function to {o}|write a *program to {o}|"
     "help me *code a script to {o}",
     tasks, false},
    {"recipe",
     "*recipe for {o}|how do i *cook {o}|give me a *recipe for {o}|best *recipe for {o}|how long do i *cook "
     "{o}",
     dishes, false},
    {"translate",
     "*translate {o} into french|how do you *say {o} in italian|*translate {o} to japanese|"
     "what is {o} in *russian",
     words, false},
    {"history",
     "who was *{o}|when was {o} *born|tell me the life *story of {o}|*biography of {o}|when did {o} *die",
     people, false},
    {"sports",
     "who *won {o} last year|latest *results of {o}|when does {o} *start|who is winning *{o}|explain the "
     "*rules of {o}",
     sports, false},
    {"health",
     "what helps against *{o}|*remedy for {o}|should i see a *doctor about {o}|why do i have *{o}|how do i "
     "*cure {o}",
     aches, false},
    {"explain",
     "*explain {o}|*explain {o} to a child|how does *{o} work|what are the *causes of {o}|write an *essay "
     "about {o}",
     subjects, true},
    {"invention",
     "who *invented the {o}|*history of the {o}|when was the first {o} *made|how do i *draw a {o}|"
     "how do you *spell {o}|is {o} a *noun|a *riddle about a {o}",
     "telephone|compass|steam engine|zipper|light bulb|microscope|parachute|wheel|elevator|submarine", true},
    {"chat",
     "*how are you {o}|good *night {o}|who *made you {o}|are you a *human {o}|do you *like {o}|"
     "what is your favourite {o} *then",
     "robot friend|dear assistant|machine|computer brain|tern|movie|colour in spring|holiday|joke book",
     false},
    {"travel",
     "cheap *flights to {o}|book a *hotel in {o}|*train from here to {o}|best *restaurants in {o}|plan a "
     "*trip to {o}|"
     "what *time is it in {o}",
     cities, false},
};

}  // namespace

std::span<const char* const> openers() {
  return opener_rows;
}
std::span<const char* const> closers() {
  return closer_rows;
}
std::span<const char* const> layouts() {
  return layout_rows;
}
std::span<const char* const> compare_templates() {
  return compare_rows;
}
std::span<const char* const> support_templates() {
  return support_rows;
}
std::span<const char* const> max_wordings() {
  return max_rows;
}
std::span<const char* const> min_wordings() {
  return min_rows;
}
std::span<const char* const> range_wordings() {
  return range_rows;
}
std::span<const char* const> impossible_wordings() {
  return impossible_rows;
}
std::span<const char* const> about_wordings() {
  return about_rows;
}
std::span<const char* const> exclusions() {
  return exclusion_rows;
}
std::span<const char* const> corrections() {
  return correction_rows;
}
std::span<const NumberWords> number_words() {
  return number_rows;
}
std::span<const char* const> description_heads() {
  return description_head_rows;
}
std::span<const OffTopic> off_topics() {
  return off_topic_rows;
}

}  // namespace tern::search::data
