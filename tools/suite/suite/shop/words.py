"""The vocabulary of the sample shop: its categories, products and descriptions."""

from dataclasses import dataclass, field

SIZES = ("XS", "S", "M", "L", "XL")
SHOES = ("38", "39", "40", "41", "42", "43", "44")
BEDS = ("Single", "Double", "King")


@dataclass(frozen=True)
class Shelf:
    """A category of the third level and its products; prices in whole units of the currency.

    sizes: the values of its first option, named `size_name`; each costs `step` more than the last.
    colours: some of them are the values of a second option.
    engraved: the label of the field for a text that the customer has engraved.
    """

    path: tuple[str, str, str]
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    price: tuple[int, int]
    uses: tuple[str, ...]
    sizes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    step: int = 0
    lead_time_days: int = 0
    engraved: str = ""
    size_name: str = field(default="Size")


CLOTH = ("Navy", "Sand", "Forest", "Charcoal", "Rust", "White")
CALM = ("Oat", "Slate", "Moss", "Clay")
CLEAR = ("Black", "Silver", "Cream")

SHELVES: tuple[Shelf, ...] = (
    Shelf(("Clothing", "Tops", "Shirts"), ("Shirt", "Overshirt", "Work Shirt"),
          ("Linen", "Oxford Cotton", "Chambray", "Flannel"), (39, 95),
          ("warm evenings", "the office and after", "layering"), SIZES, CLOTH, 3),
    Shelf(("Clothing", "Tops", "Knitwear"), ("Crewneck", "Cardigan", "Roll Neck"),
          ("Merino", "Lambswool", "Cotton Knit"), (59, 149),
          ("cold mornings", "long journeys", "quiet Sundays"), SIZES, CLOTH, 4),
    Shelf(("Clothing", "Tops", "T-Shirts"), ("T-Shirt", "Long Sleeve Tee", "Pocket Tee"),
          ("Organic Cotton", "Heavyweight Cotton", "Hemp Blend"), (19, 45),
          ("every day", "training", "sleeping in"), SIZES, CLOTH, 1),
    Shelf(("Clothing", "Bottoms", "Trousers"), ("Chinos", "Pleated Trousers", "Work Trousers"),
          ("Twill", "Canvas", "Wool Blend"), (59, 139),
          ("work", "travel", "long days on your feet"), SIZES, CLOTH, 3),
    Shelf(("Clothing", "Bottoms", "Jeans"), ("Straight Jeans", "Tapered Jeans", "Relaxed Jeans"),
          ("Raw Denim", "Washed Denim", "Selvedge Denim"), (69, 159),
          ("wearing in slowly", "every day", "the weekend"), SIZES, ("Indigo", "Black"), 2),
    Shelf(("Clothing", "Footwear", "Boots"), ("Chelsea Boots", "Walking Boots", "Desert Boots"),
          ("Suede", "Oiled Leather", "Waxed Canvas"), (119, 249),
          ("wet streets", "the hills", "autumn"), SHOES, ("Brown", "Black"), 0),
    Shelf(("Clothing", "Footwear", "Trainers"), ("Trainers", "Runners", "Court Shoes"),
          ("Mesh", "Leather", "Recycled Knit"), (69, 159),
          ("running", "the city", "the gym"), SHOES, ("White", "Grey"), 0),
    Shelf(("Home", "Kitchen", "Cookware"), ("Saucepan", "Casserole", "Frying Pan"),
          ("Cast Iron", "Stainless Steel", "Copper"), (49, 229),
          ("slow stews", "high heat", "big families"), ("20 cm", "24 cm", "28 cm"), (), 20),
    Shelf(("Home", "Kitchen", "Knives"), ("Chef's Knife", "Bread Knife", "Paring Knife"),
          ("Carbon Steel", "Damascus Steel", "Forged Steel"), (29, 189),
          ("vegetables", "crusty loaves", "fine work"), engraved="Initials"),
    Shelf(("Home", "Kitchen", "Coffee and Tea"), ("Pour-Over Set", "Teapot", "Hand Grinder"),
          ("Stoneware", "Borosilicate Glass", "Brass"), (24, 119),
          ("slow mornings", "two cups", "the office"), (), CALM),
    Shelf(("Home", "Bedroom", "Bed Linen"), ("Duvet Cover", "Sheet Set", "Pillowcase Pair"),
          ("Washed Linen", "Percale", "Sateen"), (39, 199),
          ("hot nights", "deep sleep", "guests"), BEDS, CALM, 25),
    Shelf(("Home", "Bedroom", "Blankets"), ("Blanket", "Throw", "Quilt"),
          ("Lambswool", "Recycled Wool", "Cotton"), (49, 179),
          ("the sofa", "camping", "cold rooms"), (), CALM, engraved="Name on the label"),
    Shelf(("Home", "Living Room", "Lamps"), ("Table Lamp", "Floor Lamp", "Reading Lamp"),
          ("Brass", "Opal Glass", "Powder-Coated Steel"), (59, 289),
          ("reading", "dark corners", "a desk by the window"), (), CLEAR),
    Shelf(("Home", "Living Room", "Chairs"), ("Armchair", "Lounge Chair", "Side Chair"),
          ("Oak", "Walnut", "Bentwood Ash"), (189, 899),
          ("long books", "the dining table", "small rooms"), (), CALM, lead_time_days=14),
    Shelf(("Home", "Living Room", "Tables"), ("Coffee Table", "Side Table", "Writing Desk"),
          ("Solid Oak", "Walnut", "Reclaimed Pine"), (129, 1190),
          ("working at home", "the hallway", "board games"), ("Small", "Large"), (), 90, 21),
    Shelf(("Electronics", "Audio", "Headphones"), ("Headphones", "Earbuds", "Studio Headphones"),
          ("Wireless", "Noise-Cancelling", "Open-Back"), (49, 389),
          ("commuting", "mixing", "long flights"), (), CLEAR),
    Shelf(("Electronics", "Audio", "Speakers"), ("Speaker", "Bookshelf Speaker", "Soundbar"),
          ("Portable", "Wireless", "Walnut"), (59, 699),
          ("the garden", "films", "the kitchen"), (), CLEAR),
    Shelf(("Electronics", "Desk", "Keyboards"), ("Keyboard", "Compact Keyboard", "Numpad"),
          ("Mechanical", "Low-Profile", "Aluminium"), (39, 219),
          ("writing", "late shifts", "a tidy desk"), ("Linear", "Tactile", "Silent"), CLEAR, 0,
          size_name="Switches"),
    Shelf(("Electronics", "Desk", "Chargers and Cables"), ("Charger", "Cable", "Charging Dock"),
          ("Braided", "Gallium Nitride", "Magnetic"), (12, 89),
          ("travel", "the bedside", "three things at once"), ("30 W", "65 W", "100 W"), (), 10,
          size_name="Power"),
    Shelf(("Outdoors", "Camping", "Tents"), ("Tent", "Tarp", "Shelter"),
          ("Ultralight", "Four-Season", "Family"), (99, 749),
          ("two nights in the hills", "wind", "the whole family"), ("2 persons", "4 persons"),
          ("Moss", "Orange"), 80, size_name="Room for"),
    Shelf(("Outdoors", "Camping", "Sleeping"), ("Sleeping Bag", "Sleeping Mat", "Hammock"),
          ("Down", "Synthetic", "Insulated"), (49, 399),
          ("frost", "summer nights", "small packs"), ("Regular", "Long"), ("Moss", "Slate"), 15),
    Shelf(("Outdoors", "Packs", "Backpacks"), ("Backpack", "Daypack", "Roll-Top Pack"),
          ("Waxed Canvas", "Ripstop", "Recycled Nylon"), (59, 249),
          ("commuting", "a weekend away", "the summit"), ("18 l", "28 l", "40 l"), CLOTH, 20,
          size_name="Volume"),
    Shelf(("Outdoors", "Packs", "Bottles and Flasks"), ("Flask", "Bottle", "Travel Mug"),
          ("Insulated", "Titanium", "Enamelled Steel"), (14, 69),
          ("hot soup", "long trails", "the desk"), ("350 ml", "500 ml", "1 l"), CALM, 5,
          size_name="Volume", engraved="Name"),
    Shelf(("Books and Paper", "Stationery", "Notebooks"), ("Notebook", "Sketchbook", "Planner"),
          ("Hardcover", "Clothbound", "Stitched"), (9, 39),
          ("lists", "drawing", "a year of days"), ("A6", "A5", "A4"), CALM, 4,
          engraved="Initials"),
    Shelf(("Books and Paper", "Stationery", "Pens"), ("Fountain Pen", "Pencil Set", "Rollerball"),
          ("Brass", "Resin", "Cedar"), (8, 159),
          ("letters", "marginal notes", "sketching"), (), CLEAR, engraved="Engraving"),
)  # fmt: skip

SERIES = (
    "Harbour", "Alder", "Juniper", "Northfield", "Calder", "Marlow", "Sable", "Kestrel", "Linden",
    "Orchard", "Penrose", "Quarry", "Rowan", "Saltmarsh", "Tarn", "Umber", "Vale", "Wren",
    "Ashdown", "Bramble", "Copse", "Dune", "Elm", "Fenwick", "Glen", "Hollis", "Isle", "Larch",
)  # fmt: skip

OPENINGS = (
    "Made for {use}, and good for much more.",
    "A favourite for {use}.",
    "Just right for {use}.",
    "Plain, sturdy and made to be used, above all for {use}.",
)
MIDDLES = (
    "Built to last and easy to look after.",
    "From a family business that has made little else for decades.",
    "Every part can be replaced.",
    "Finished by hand, and checked twice before leaving the workshop.",
)
CLOSINGS = (
    "Comes with a two-year guarantee.",
    "Repairs are free for the first five years.",
    "Packed without plastic.",
    "Not what you hoped for? Send it back within thirty days.",
)
