#include "tasks/search/truth.h"

#include <algorithm>

#include "tasks/search/grammar_data.h"

namespace tern::search {
namespace {

constexpr int64_t prices[] = {10,  15,  20,  25,  30,  35,  40,  45,  50,  60,  70,  75,  80,  90,
                              100, 120, 150, 180, 200, 250, 300, 350, 400, 500, 600, 800, 1000};

int64_t sample_cents(Rng& rng) {
  const int64_t cents = prices[rng.below(std::size(prices))] * 100;
  return rng.chance(0.08) ? cents - 1 : cents;  // 49.99
}

constexpr double number_words_chance = 0.15, description_chance = 0.22, exclusion_chance = 0.16,
                 correction_chance = 0.1;

bool has_words(int64_t cents) {
  const auto rows = data::number_words();
  return std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.value * 100 == cents; });
}

const std::string& pick_id(std::span<const Value> values, Rng& rng) {
  return values[rng.below(values.size())].id;
}

/// A type of one of the brand's departments.
int type_sold_by(const World& world, const Brand& brand, Rng& rng) {
  for (;;) {
    const int type = static_cast<int>(rng.below(world.types().size()));
    const auto& of = brand.departments;
    if (std::find(of.begin(), of.end(), world.types()[type].department) != of.end()) return type;
  }
}

int brand_selling(const World& world, int type, Rng& rng) {
  for (;;) {
    const int brand = static_cast<int>(rng.below(world.brands().size()));
    if (world.sells(brand, world.types()[type].department)) return brand;
  }
}

int brand_not_selling(const World& world, int type, Rng& rng) {
  for (;;) {
    const int brand = static_cast<int>(rng.below(world.brands().size()));
    if (!world.sells(brand, world.types()[type].department)) return brand;
  }
}

void add_prices(Truth& truth, Rng& rng) {
  Answer& answer = truth.answer;
  const double draw = rng.uniform();
  int64_t low = sample_cents(rng), high = sample_cents(rng);
  if (draw < 0.15) {
    truth.about_price = prices[rng.below(std::size(prices))] * 100;
    answer.min_price = truth.about_price * 4 / 5;
    answer.max_price = truth.about_price * 6 / 5;
    truth.number_words = rng.chance(number_words_chance) && has_words(truth.about_price);
    return;
  }
  if (draw < 0.6) {
    answer.max_price = high;
  } else if (draw < 0.8) {
    answer.min_price = low;
  } else {
    while (low == high) high = sample_cents(rng);
    answer.min_price = std::min(low, high);
    answer.max_price = std::max(low, high);
  }
  const auto sayable = [](const std::optional<int64_t>& price) { return !price || has_words(*price); };
  truth.number_words =
      rng.chance(number_words_chance) && sayable(answer.min_price) && sayable(answer.max_price);
}

/// Colour, material, size, audience, price and sort that suit the department, at most four of them.
void add_attributes(const World& world, const Department& department, bool has_type, Truth& truth, Rng& rng) {
  Answer& answer = truth.answer;
  int room = 4;
  const auto wants = [&](double chance) { return rng.chance(chance) && room-- > 0; };
  if (wants(0.40)) {
    answer.colours.push_back(pick_id(world.colours(), rng));
    if (rng.chance(0.08)) answer.colours.push_back(pick_id(world.colours(), rng));
    std::sort(answer.colours.begin(), answer.colours.end());
    answer.colours.erase(std::unique(answer.colours.begin(), answer.colours.end()), answer.colours.end());
  }
  if (department.materials && wants(0.22)) answer.materials.push_back(pick_id(world.materials(), rng));
  if (has_type && department.sizes == SizeSystem::letters && wants(0.35)) {
    answer.sizes.push_back(pick_id(world.letter_sizes(), rng));
  }
  if (has_type && department.sizes == SizeSystem::shoes && wants(0.35)) {
    answer.sizes.push_back(pick_id(world.shoe_sizes(), rng));
  }
  if (department.audience && wants(0.28)) answer.audience = pick_id(world.audiences(), rng);
  if (!answer.min_price && wants(0.36)) add_prices(truth, rng);
  if (wants(0.2)) answer.sort = pick_id(world.sorts(), rng);
}

/// Where one plain type is asked for: a description instead of its name.
void describe_type(Truth& truth, Rng& rng) {
  if (truth.answer.types.size() != 1 || !truth.type_word.empty()) return;
  for (const auto& row : data::descriptions()) {
    if (truth.answer.types[0] == row.type) truth.description = rng.pick(split_bars(row.phrases));
  }
}

/// Something that is said first and taken back, of the same kind as something wanted.
void withdraw_something(const World& world, Truth& truth, Rng& rng) {
  const Answer& answer = truth.answer;
  std::vector<std::pair<Kind, std::string>> wanted;
  if (answer.types.size() == 1 && truth.type_word.empty() && truth.description.empty())
    wanted.emplace_back(Kind::type, answer.types[0]);
  if (answer.brands.size() == 1 && truth.brand_word.empty())
    wanted.emplace_back(Kind::brand, answer.brands[0]);
  if (answer.colours.size() == 1) wanted.emplace_back(Kind::colour, answer.colours[0]);
  if (answer.materials.size() == 1) wanted.emplace_back(Kind::material, answer.materials[0]);
  if (wanted.empty()) return;
  const auto& [kind, kept] = rng.pick(wanted);
  truth.withdrawn_kind = kind;
  do {
    truth.withdrawn = kind == Kind::type     ? world.types()[rng.below(world.types().size())].id
                      : kind == Kind::brand  ? world.brands()[rng.below(world.brands().size())].id
                      : kind == Kind::colour ? pick_id(world.colours(), rng)
                                             : pick_id(world.materials(), rng);
  } while (truth.withdrawn == kept);
}

/// A colour, a material or a brand that sells the type, and that is not wanted.
void exclude_something(const World& world, int department, int type, Truth& truth, Rng& rng) {
  Answer& answer = truth.answer;
  const bool may_be_brand =
      type >= 0 && answer.brands.empty() && !truth.unknown_brand && truth.withdrawn_kind != Kind::brand;
  const double draw = rng.uniform();
  std::string id;
  do {
    id = may_be_brand && draw < 0.35 ? world.brands()[brand_selling(world, type, rng)].id
         : world.departments()[department].materials && draw < 0.6 ? pick_id(world.materials(), rng)
                                                                   : pick_id(world.colours(), rng);
  } while (std::count(answer.colours.begin(), answer.colours.end(), id) ||
           std::count(answer.materials.begin(), answer.materials.end(), id) || id == truth.withdrawn);
  answer.excluded.push_back(id);
}

Truth sample_find(const World& world, Rng& rng) {
  Truth truth;
  Answer& answer = truth.answer;
  const double draw = rng.uniform();
  int type = -1, brand = -1, department = 0;
  if (draw < 0.085) {  // a brand that does not exist
    truth.unknown_brand = true;
    answer.note = "unknown:brand";
    if (rng.chance(0.9)) type = static_cast<int>(rng.below(world.types().size()));
  } else if (draw < 0.125) {  // a nickname of two brands and nothing to tell them apart
    const auto& shared = world.shared_nicknames()[rng.below(world.shared_nicknames().size())];
    truth.brand_word = shared.text;
    for (const int b : shared.brands) answer.brands.push_back(world.brands()[b].id);
    answer.note = "ambiguous:brand";
    department = world.brands()[shared.brands[rng.below(2)]].departments[0];
  } else if (draw < 0.16) {  // a word for two types and nothing to tell them apart
    const auto& shared = world.shared_type_words()[rng.below(world.shared_type_words().size())];
    truth.type_word = shared.text;
    for (const int t : shared.types) answer.types.push_back(world.types()[t].id);
    answer.note = "ambiguous:type";
    department = world.types()[shared.types[rng.below(2)]].department;
  } else if (draw < 0.22) {  // a brand that does not sell the type
    type = static_cast<int>(rng.below(world.types().size()));
    brand = brand_not_selling(world, type, rng);
    answer.note = "contradiction:brand";
  } else if (draw < 0.26) {  // a nickname of two brands that the type tells apart
    const auto& shared = world.shared_nicknames()[rng.below(world.shared_nicknames().size())];
    truth.brand_word = shared.text;
    brand = shared.brands[rng.below(2)];
    type = type_sold_by(world, world.brands()[brand], rng);
  } else if (draw < 0.285) {  // a word for two types that the brand tells apart
    const auto& shared = world.shared_type_words()[rng.below(world.shared_type_words().size())];
    const int other = static_cast<int>(rng.below(2));
    truth.type_word = shared.text;
    type = shared.types[other];
    do {
      brand = brand_selling(world, type, rng);
    } while (world.sells(brand, world.types()[shared.types[1 - other]].department));
  } else {
    const bool has_type = rng.chance(0.9);
    if (has_type) type = static_cast<int>(rng.below(world.types().size()));
    if (!has_type) brand = static_cast<int>(rng.below(world.brands().size()));
    if (has_type && rng.chance(0.62)) brand = brand_selling(world, type, rng);
    if (rng.chance(0.045)) {  // a lower bound above the upper one
      answer.note = "contradiction:price";
      answer.min_price = sample_cents(rng);
      answer.max_price = sample_cents(rng);
      while (*answer.min_price == *answer.max_price) answer.max_price = sample_cents(rng);
      if (*answer.min_price < *answer.max_price) std::swap(answer.min_price, answer.max_price);
    }
  }
  if (type >= 0) {
    answer.types = {world.types()[type].id};
    department = world.types()[type].department;
  } else if (brand >= 0) {
    department = world.brands()[brand].departments[0];
  }
  if (brand >= 0) answer.brands = {world.brands()[brand].id};
  std::sort(answer.brands.begin(), answer.brands.end());
  std::sort(answer.types.begin(), answer.types.end());
  add_attributes(world, world.departments()[department], type >= 0, truth, rng);
  if (rng.chance(description_chance)) describe_type(truth, rng);
  if (rng.chance(correction_chance)) withdraw_something(world, truth, rng);
  if (rng.chance(exclusion_chance)) exclude_something(world, department, type, truth, rng);
  return truth;
}

Truth sample_compare(const World& world, Rng& rng) {
  Truth truth;
  Answer& answer = truth.answer;
  answer.intent = Intent::compare;
  const int type = static_cast<int>(rng.below(world.types().size()));
  if (rng.chance(0.6)) {
    const int first = brand_selling(world, type, rng);
    int second = first;
    while (second == first) second = brand_selling(world, type, rng);
    answer.brands = {world.brands()[first].id, world.brands()[second].id};
    if (rng.chance(0.6)) answer.types = {world.types()[type].id};
  } else {
    const int brand = brand_selling(world, type, rng);
    int second = type;
    while (second == type) second = type_sold_by(world, world.brands()[brand], rng);
    answer.types = {world.types()[type].id, world.types()[second].id};
    if (rng.chance(0.5)) answer.brands = {world.brands()[brand].id};
  }
  std::sort(answer.brands.begin(), answer.brands.end());
  std::sort(answer.types.begin(), answer.types.end());
  if (rng.chance(description_chance)) describe_type(truth, rng);
  return truth;
}

Truth sample_support(const World& world, Rng& rng) {
  Truth truth;
  truth.answer.intent = Intent::support;
  if (rng.chance(0.2)) {
    truth.order_number = std::to_string(rng.between(10000, 99999));
    return truth;
  }
  const int type = static_cast<int>(rng.below(world.types().size()));
  const double draw = rng.uniform();
  if (draw < 0.7) truth.answer.types = {world.types()[type].id};
  if (draw > 0.35) truth.answer.brands = {world.brands()[brand_selling(world, type, rng)].id};
  if (rng.chance(description_chance)) describe_type(truth, rng);
  return truth;
}

Truth sample_off_topic(const World& world, Rng& rng) {
  Truth truth;
  truth.answer.intent = Intent::off_topic;
  const auto topics = data::off_topics();
  truth.topic = static_cast<int>(rng.below(topics.size()));
  const auto& topic = topics[truth.topic];
  if (topic.products && rng.chance(0.35)) {
    const auto& type = world.types()[rng.below(world.types().size())];
    truth.object = type.words[rng.below(type.words.size())];
    return truth;
  }
  const std::string_view objects = topic.objects;
  const size_t count = 1 + static_cast<size_t>(std::count(objects.begin(), objects.end(), '|'));
  size_t start = 0;
  for (size_t skip = rng.below(count); skip > 0; --skip) start = objects.find('|', start) + 1;
  truth.object = objects.substr(start, objects.find('|', start) - start);
  return truth;
}

}  // namespace

Truth sample_truth(const World& world, Rng& rng) {
  const double draw = rng.uniform();
  if (draw < 0.7) return sample_find(world, rng);
  if (draw < 0.8) return sample_compare(world, rng);
  if (draw < 0.9) return sample_support(world, rng);
  return sample_off_topic(world, rng);
}

uint64_t hash_text(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return splitmix64(hash);
}

uint64_t truth_hash(const Truth& truth) {
  std::string key = std::to_string(static_cast<int>(truth.answer.intent));
  const auto add = [&](const std::vector<std::string>& ids) {
    key += '/';
    for (const auto& id : ids) key += id + ',';
  };
  add(truth.answer.types);
  add(truth.answer.brands);
  add(truth.answer.colours);
  add(truth.answer.materials);
  add(truth.answer.sizes);
  add(truth.answer.excluded);
  add({truth.answer.audience, truth.answer.note, truth.order_number, std::to_string(truth.topic),
       truth.object});
  return hash_text(key);
}

Split split_of(uint64_t hash) {
  const uint64_t tenth = (hash >> 32) % 10;
  return tenth < 8 ? Split::train : tenth == 8 ? Split::dev : Split::test;
}

}  // namespace tern::search
