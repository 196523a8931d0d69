#include "tasks/search/world_data.h"

namespace tern::search::data {
namespace {

constexpr auto none = SizeSystem::none;

constexpr DepartmentRow department_rows[] = {
    {"shoes", SizeSystem::shoes, true, true},
    {"clothing", SizeSystem::letters, true, true},
    {"sport", none, false, true},
    {"computing", none, false, false},
    {"audio", none, false, false},
    {"kitchen", none, true, false},
    {"furniture", none, true, false},
    {"garden", none, true, false},
    {"toys", none, true, true},
    {"beauty", none, false, true},
    {"music", none, true, true},
    {"pets", none, true, false},
};

constexpr TypeRow type_rows[] = {
    {"shoes", "sneaker", "sneaker|trainer|!kicks", "zapatillas", "turnschuhe"},
    {"shoes", "boot", "boot|ankle boot", "botas", "stiefel"},
    {"shoes", "sandal", "sandal", "sandalias", "sandalen"},
    {"shoes", "slipper", "slipper|house shoe", "pantuflas", "hausschuhe"},
    {"shoes", "loafer", "loafer|moccasin", "mocasines", ""},
    {"shoes", "heel", "high heel|stiletto", "tacones", ""},
    {"shoes", "runner", "running shoe|runner", "", "laufschuhe"},
    {"shoes", "clog", "clog", "zuecos", ""},
    {"shoes", "hiker", "hiking boot|walking boot", "", "wanderschuhe"},
    {"shoes", "wellie", "rain boot|gumboot", "", "gummistiefel"},
    {"shoes", "flat", "ballet flat|ballerina", "bailarinas", ""},
    {"shoes", "espadrille", "espadrille", "alpargatas", ""},
    {"shoes", "oxford", "brogue|dress shoe", "", ""},

    {"clothing", "shirt", "shirt", "camisas", "hemden"},
    {"clothing", "tshirt", "tshirt|tee", "camisetas", ""},
    {"clothing", "jeans", "!jeans|!denims", "vaqueros", ""},
    {"clothing", "dress", "dress|gown|frock", "vestidos", "kleider"},
    {"clothing", "skirt", "skirt", "faldas", "roecke"},
    {"clothing", "jacket", "jacket|windbreaker", "chaquetas", "jacken"},
    {"clothing", "coat", "coat|overcoat|parka", "abrigos", "maentel"},
    {"clothing", "hoodie", "hoodie|hooded top", "sudaderas", ""},
    {"clothing", "sweater", "sweater|jumper|pullover", "", "pullis"},
    {"clothing", "trousers", "!trousers|!pants|!slacks", "pantalones", ""},
    {"clothing", "shorts", "!shorts", "", ""},
    {"clothing", "sock", "sock", "calcetines", "socken"},
    {"clothing", "scarf", "scarf|shawl", "bufandas", "schals"},
    {"clothing", "glove", "glove|mitten", "guantes", "handschuhe"},
    {"clothing", "belt", "belt", "cinturones", "guertel"},
    {"clothing", "pyjama", "!pyjamas|nightgown", "", ""},

    {"sport", "football", "football|soccer ball", "balones", "fussbaelle"},
    {"sport", "racket", "racket|tennis racket", "raquetas", "schlaeger"},
    {"sport", "helmet", "helmet|bike helmet", "cascos", "helme"},
    {"sport", "bicycle", "bicycle|mountain bike", "bicicletas", "fahrraeder"},
    {"sport", "yogamat", "yoga mat|exercise mat", "", ""},
    {"sport", "dumbbell", "dumbbell|hand weight", "pesas", "hanteln"},
    {"sport", "backpack", "backpack|rucksack", "mochilas", ""},
    {"sport", "tent", "tent|camping tent", "", "zelte"},
    {"sport", "skateboard", "skateboard|longboard", "monopatines", ""},
    {"sport", "bikepump", "bike pump|air pump", "", "luftpumpen"},
    {"sport", "treadmill", "treadmill|running machine", "", "laufbaender"},
    {"sport", "weightbench", "weight bench|gym bench", "", ""},
    {"sport", "swimsuit", "swimsuit|bikini", "", "badeanzuege"},

    {"computing", "laptop", "laptop|notebook", "portatiles", ""},
    {"computing", "monitor", "monitor|screen", "pantallas", "bildschirme"},
    {"computing", "keyboard", "computer keyboard|typing keyboard", "teclados", "tastaturen"},
    {"computing", "mouse", "!computer mouse|!wireless mouse", "", ""},
    {"computing", "printer", "printer|inkjet", "impresoras", "drucker"},
    {"computing", "tablet", "tablet|slate", "tabletas", ""},
    {"computing", "router", "router|modem", "", ""},
    {"computing", "webcam", "webcam|web camera", "", ""},
    {"computing", "harddrive", "hard drive|hard disk", "", "festplatten"},
    {"computing", "charger", "charger|power adapter", "cargadores", "ladegeraete"},
    {"computing", "dock", "docking station|port hub", "", ""},
    {"computing", "desktop", "desktop computer|gaming pc", "ordenadores", ""},

    {"audio", "headphone", "!headphones|headset", "auriculares", "kopfhoerer"},
    {"audio", "earbud", "earbud|!earphones", "", "ohrhoerer"},
    {"audio", "speaker", "speaker|loudspeaker", "altavoces", "lautsprecher"},
    {"audio", "soundbar", "soundbar|sound bar", "", ""},
    {"audio", "turntable", "turntable|record player", "tocadiscos", "plattenspieler"},
    {"audio", "radio", "radio|tuner", "", ""},
    {"audio", "microphone", "microphone", "microfonos", "mikrofone"},
    {"audio", "television", "television|tv", "televisores", "fernseher"},
    {"audio", "projector", "projector|beamer", "proyectores", ""},
    {"audio", "amplifier", "amplifier|amp", "", "verstaerker"},
    {"audio", "dictaphone", "dictaphone|voice recorder", "", ""},
    {"audio", "camera", "camera|camcorder", "camaras", "kameras"},

    {"kitchen", "pan", "frying pan|skillet", "sartenes", "pfannen"},
    {"kitchen", "pot", "cooking pot|saucepan", "ollas", "toepfe"},
    {"kitchen", "kettle", "kettle|tea kettle", "hervidores", "wasserkocher"},
    {"kitchen", "toaster", "toaster", "tostadoras", ""},
    {"kitchen", "blender", "blender|smoothie maker", "batidoras", ""},
    {"kitchen", "knife", "kitchen knife|chef knife", "cuchillos", "messer"},
    {"kitchen", "plate", "plate|dinner plate", "platos", "teller"},
    {"kitchen", "mug", "mug|coffee cup", "tazas", "tassen"},
    {"kitchen", "bowl", "salad bowl|soup bowl", "", ""},
    {"kitchen", "espresso", "coffee machine|espresso maker", "cafeteras", "kaffeemaschinen"},
    {"kitchen", "cutboard", "cutting board|chopping board", "", ""},
    {"kitchen", "oven", "oven|microwave", "hornos", ""},
    {"kitchen", "fridge", "fridge|refrigerator", "neveras", "kuehlschraenke"},

    {"furniture", "sofa", "sofa|couch|settee", "", ""},
    {"furniture", "chair", "chair|armchair", "sillas", "stuehle"},
    {"furniture", "table", "table|dining table", "mesas", "tische"},
    {"furniture", "desk", "desk|writing desk", "escritorios", "schreibtische"},
    {"furniture", "bookcase", "bookcase|bookshelf", "estanterias", "regale"},
    {"furniture", "wardrobe", "wardrobe|closet", "armarios", "schraenke"},
    {"furniture", "bed", "bed frame|double bed", "", ""},
    {"furniture", "mattress", "mattress|spring mattress", "colchones", "matratzen"},
    {"furniture", "lamp", "lamp|floor lamp", "lamparas", "lampen"},
    {"furniture", "rug", "rug|carpet", "alfombras", "teppiche"},
    {"furniture", "mirror", "mirror|wall mirror", "espejos", "spiegel"},
    {"furniture", "stool", "stool|bar stool", "taburetes", "hocker"},
    {"furniture", "bench", "hallway bench|entry bench", "", ""},
    {"furniture", "curtain", "curtain|!drapes", "cortinas", "vorhaenge"},

    {"garden", "mower", "lawn mower|mower", "cortacesped", "rasenmaeher"},
    {"garden", "hose", "garden hose|water hose", "mangueras", ""},
    {"garden", "shovel", "shovel|spade", "palas", "schaufeln"},
    {"garden", "rake", "rake|leaf rake", "rastrillos", ""},
    {"garden", "planter", "planter|flower pot", "macetas", "blumentoepfe"},
    {"garden", "grill", "grill|barbecue", "parrillas", ""},
    {"garden", "parasol", "parasol|sun umbrella", "sombrillas", "sonnenschirme"},
    {"garden", "hammock", "hammock", "hamacas", "haengematten"},
    {"garden", "greenhouse", "greenhouse|glasshouse", "invernaderos", "gewaechshaeuser"},
    {"garden", "barrow", "wheelbarrow|garden cart", "carretillas", "schubkarren"},
    {"garden", "chainsaw", "chainsaw|chain saw", "motosierras", ""},
    {"garden", "sprinkler", "sprinkler|lawn sprinkler", "aspersores", ""},

    {"toys", "doll", "doll|rag doll", "munecas", "puppen"},
    {"toys", "puzzle", "puzzle|jigsaw", "rompecabezas", ""},
    {"toys", "blocks", "!building blocks|!toy bricks", "", "bausteine"},
    {"toys", "teddy", "teddy bear|plush bear", "ositos", ""},
    {"toys", "trainset", "train set|toy train", "", ""},
    {"toys", "boardgame", "board game|family game", "", "brettspiele"},
    {"toys", "kite", "kite|stunt kite", "cometas", "drachen"},
    {"toys", "scooter", "scooter|push scooter", "patinetes", ""},
    {"toys", "drone", "drone|quadcopter", "", ""},
    {"toys", "robot", "robot|toy robot", "", "roboter"},
    {"toys", "dollhouse", "dollhouse|doll house", "", "puppenhaeuser"},
    {"toys", "racecar", "toy car|race car", "", ""},
    {"toys", "trampoline", "trampoline", "", ""},

    {"beauty", "perfume", "perfume|fragrance", "", ""},
    {"beauty", "lipstick", "lipstick|lip gloss", "pintalabios", "lippenstifte"},
    {"beauty", "shampoo", "shampoo|hair wash", "champus", ""},
    {"beauty", "lotion", "lotion|moisturizer", "cremas", ""},
    {"beauty", "mascara", "mascara", "", "wimperntusche"},
    {"beauty", "hairdryer", "hair dryer|blow dryer", "secadores", ""},
    {"beauty", "razor", "razor|shaver", "afeitadoras", "rasierer"},
    {"beauty", "nailpolish", "nail polish|nail varnish", "", "nagellack"},
    {"beauty", "sunscreen", "sunscreen|sun cream", "", "sonnencreme"},
    {"beauty", "hairbrush", "hairbrush|hair brush", "", "haarbuersten"},
    {"beauty", "soap", "soap|shower gel", "jabones", "seifen"},
    {"beauty", "toothbrush", "toothbrush|tooth brush", "", "zahnbuersten"},

    {"music", "guitar", "guitar|acoustic guitar", "guitarras", "gitarren"},
    {"music", "piano", "piano|digital piano", "", "klaviere"},
    {"music", "violin", "violin|fiddle", "", "geigen"},
    {"music", "drum", "drum kit|drum set", "baterias", "schlagzeuge"},
    {"music", "flute", "flute|school flute", "flautas", "floeten"},
    {"music", "trumpet", "trumpet|cornet", "trompetas", "trompeten"},
    {"music", "ukulele", "ukulele", "", ""},
    {"music", "saxophone", "saxophone|sax", "", ""},
    {"music", "harmonica", "harmonica|mouth organ", "armonicas", "mundharmonikas"},
    {"music", "cello", "cello", "", ""},
    {"music", "accordion", "accordion", "acordeones", "akkordeons"},
    {"music", "metronome", "metronome", "", ""},

    {"pets", "leash", "leash|dog leash", "correas", "leinen"},
    {"pets", "collar", "dog collar|pet collar", "collares", "halsbaender"},
    {"pets", "petbed", "dog bed|cat bed", "", ""},
    {"pets", "feeder", "pet feeder|dog bowl", "comederos", ""},
    {"pets", "scratcher", "scratching post|cat tree", "rascadores", "kratzbaeume"},
    {"pets", "aquarium", "aquarium|fish tank", "acuarios", ""},
    {"pets", "birdcage", "birdcage|bird cage", "jaulas", "kaefige"},
    {"pets", "catlitter", "litter box|cat litter", "", ""},
    {"pets", "petbrush", "dog brush|grooming brush", "", ""},
    {"pets", "chewtoy", "chew toy|dog toy", "", ""},
    {"pets", "carrier", "pet carrier|cat carrier", "", ""},
    {"pets", "catflap", "cat flap|cat door", "", "katzenklappen"},
    {"pets", "kennel", "kennel|dog house", "", "hundehuetten"},
    {"pets", "harness", "harness|dog harness", "arneses", ""},
};

constexpr SharedTypeRow shared_type_rows[] = {
    {"keyboard", "keyboard", "piano"},   {"pump", "heel", "bikepump"}, {"bowl", "bowl", "feeder"},
    {"brush", "hairbrush", "petbrush"},  {"bed", "bed", "petbed"},     {"bench", "bench", "weightbench"},
    {"recorder", "dictaphone", "flute"},
};

constexpr ValueRow colour_rows[] = {
    {"red", "red|crimson", "red|crimson", "rojo", "rot"},
    {"blue", "blue|azure", "blue|azure", "azul", "blau"},
    {"green", "green", "green", "verde", "gruen"},
    {"black", "black|jet black", "black", "negro", "schwarz"},
    {"white", "white|snow white", "white", "blanco", "weiss"},
    {"grey", "grey|gray", "grey|gray", "gris", "grau"},
    {"pink", "pink", "pink", "rosado", "pinkfarben"},
    {"purple", "purple|violet", "purple|violet", "morado", "lila"},
    {"yellow", "yellow", "yellow", "amarillo", "gelb"},
    {"orange", "orange", "orange", "naranja", ""},
    {"brown", "brown", "brown", "marron", "braun"},
    {"beige", "beige|sand coloured", "beige", "", ""},
    {"navy", "navy|dark blue", "navy|dark blue", "", "dunkelblau"},
    {"silver", "silver", "silver", "plateado", "silbern"},
};

constexpr ValueRow material_rows[] = {
    {"leather", "leather", "leather|real leather", "cuero", "leder"},
    {"suede", "suede", "suede", "ante", "wildleder"},
    {"cotton", "cotton", "cotton|pure cotton", "algodon", "baumwolle"},
    {"wool", "wool|woollen", "wool|merino wool", "lana", "wolle"},
    {"linen", "linen", "linen", "lino", "leinenstoff"},
    {"silk", "silk", "silk", "seda", "seide"},
    {"wood", "wooden|oak", "wood|oak", "", ""},
    {"steel", "steel|stainless steel", "steel|stainless steel", "acero", "stahl"},
    {"plastic", "plastic", "plastic", "plastico", "plastik"},
    {"bamboo", "bamboo", "bamboo", "bambu", "bambus"},
    {"ceramic", "ceramic", "ceramic", "ceramica", "keramik"},
    {"velvet", "velvet", "velvet", "terciopelo", "samt"},
};

constexpr ValueRow letter_size_rows[] = {
    {"xs", "", "size xs|extra small", "", ""}, {"s", "", "size s|size small", "", ""},
    {"m", "", "size m|size medium", "", ""},   {"l", "", "size l|size large", "", ""},
    {"xl", "", "size xl|extra large", "", ""}, {"xxl", "", "size xxl", "", ""},
};

constexpr ValueRow shoe_size_rows[] = {
    {"36", "", "size 36", "", ""}, {"37", "", "size 37", "", ""}, {"38", "", "size 38", "", ""},
    {"39", "", "size 39", "", ""}, {"40", "", "size 40", "", ""}, {"41", "", "size 41", "", ""},
    {"42", "", "size 42", "", ""}, {"43", "", "size 43", "", ""}, {"44", "", "size 44", "", ""},
    {"45", "", "size 45", "", ""},
};

constexpr ValueRow audience_rows[] = {
    {"men", "mens|gents", "men|gentlemen|guys", "hombre", "herren"},
    {"women", "womens|ladies", "women|ladies", "mujer", "damen"},
    {"kids", "kids|childrens", "kids|children", "ninos", "kinder"},
    {"baby", "baby|toddler", "babies|toddlers|infants", "bebe", ""},
    {"teen", "teen|teenage", "teens|teenagers", "", "jugendliche"},
};

constexpr ValueRow sort_rows[] = {
    {"cheap", "cheap|cheapest|budget|affordable", "cheapest first|lowest price first|sorted by price",
     "barato", "billig"},
    {"premium", "premium|luxury|high end", "most expensive first|premium only", "lujo", "luxus"},
    {"rating", "best rated|top rated", "best rated first|sorted by rating|with good reviews", "", ""},
    {"new", "newest|latest", "newest first|latest first|sorted by date", "", "neueste"},
    {"popular", "popular|trending|best selling", "most popular first|bestsellers first", "", "beliebt"},
};

constexpr PairRow small_word_rows[] = {
    {"for", "para", "fuer"},
    {"from", "de", "von"},
    {"under", "menos de", "unter"},
    {"over", "mas de", "ueber"},
    {"between", "entre", "zwischen"},
    {"in", "en", ""},
    {"and", "y", "und"},
    {"or", "o", "oder"},
    {"size", "talla", "groesse"},
    {"please", "por favor", "bitte"},
    {"need", "necesito", "brauche"},
    {"looking", "busco", "suche"},
    {"want", "quiero", "will"},
    {"compare", "comparar", "vergleiche"},
    {"buy", "comprar", "kaufen"},
    {"thanks", "gracias", "danke"},
    {"with", "con", "mit"},
    {"return", "devolver", "zurueckgeben"},
    {"order", "pedido", "bestellung"},
    {"weather", "tiempo", "wetter"},
};

constexpr AbbreviationRow abbreviation_rows[] = {
    {"please", "pls"},
    {"thanks", "thx"},
    {"size", "sz"},
    {"women", "wmn"},
    {"womens", "wmns"},
    {"black", "blk"},
    {"white", "wht"},
    {"brown", "brn"},
    {"green", "grn"},
    {"yellow", "ylw"},
    {"leather", "lthr"},
    {"cotton", "ctn"},
    {"jacket", "jkt"},
    {"jackets", "jkts"},
    {"sneakers", "snkrs"},
    {"sneaker", "snkr"},
    {"trainers", "trnrs"},
    {"backpack", "bkpk"},
    {"laptop", "lptp"},
    {"guitar", "gtr"},
    {"keyboard", "kbd"},
    {"headphones", "hphones"},
    {"camera", "cam"},
    {"television", "telly"},
    {"bicycle", "bicy"},
    {"large", "lrg"},
    {"medium", "med"},
    {"small", "sml"},
    {"and", "n"},
    {"for", "4"},
    {"you", "u"},
    {"are", "r"},
    {"with", "w"},
    {"children", "chldrn"},
    {"kids", "kdz"},
    {"between", "btwn"},
    {"maximum", "mx"},
    {"minimum", "mn"},
    {"looking", "lkng"},
    {"order", "ordr"},
    {"delivery", "dlvry"},
    {"stainless", "ss"},
    {"computer", "comp"},
    {"microphone", "mic"},
    {"refrigerator", "fridg"},
    {"something", "smth"},
    {"about", "abt"},
    {"compare", "cmp"},
    {"popular", "poplr"},
};

}  // namespace

std::span<const DepartmentRow> departments() {
  return department_rows;
}
std::span<const TypeRow> types() {
  return type_rows;
}
std::span<const SharedTypeRow> shared_types() {
  return shared_type_rows;
}
std::span<const ValueRow> colours() {
  return colour_rows;
}
std::span<const ValueRow> materials() {
  return material_rows;
}
std::span<const ValueRow> letter_sizes() {
  return letter_size_rows;
}
std::span<const ValueRow> shoe_sizes() {
  return shoe_size_rows;
}
std::span<const ValueRow> audiences() {
  return audience_rows;
}
std::span<const ValueRow> sorts() {
  return sort_rows;
}
std::span<const PairRow> small_words() {
  return small_word_rows;
}
std::span<const AbbreviationRow> abbreviations() {
  return abbreviation_rows;
}

}  // namespace tern::search::data
