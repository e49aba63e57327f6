"""Classes of the starter segmenter: nouns that people prompt for, the art that shows each, and further words for it."""

from collections.abc import Sequence
from dataclasses import dataclass

_TABLE = """
cat: cat, cat face, black cat, grinning cat, grinning cat with smiling eyes, cat with tears of joy, cat with wry smile, smiling cat with heart-eyes, kissing cat, crying cat, pouting cat, weary cat | kitten, kitty, tomcat
dog: dog, dog face, guide dog, service dog, poodle | puppy, puppies, hound
fox: fox
wolf: wolf | wolves
bear: bear, polar bear, teddy bear
panda: panda
tiger: tiger, tiger face
lion: lion
horse: horse, horse face | pony, ponies
unicorn: unicorn
zebra: zebra
cow: cow, cow face, ox, water buffalo | cattle, bull, calf, buffalo
pig: pig, pig face, boar | piglet
sheep: ewe, ram | lamb
goat: goat
camel: camel, two-hump camel
elephant: elephant
giraffe: giraffe
rhinoceros: rhinoceros | rhino
mouse: mouse, mouse face, rat | mice
rabbit: rabbit, rabbit face | bunny, bunnies, hare
monkey: monkey, monkey face, see-no-evil monkey, hear-no-evil monkey, speak-no-evil monkey, orangutan | ape
chicken: chicken, rooster, baby chick, front-facing baby chick, hatching chick | hen, chick, cock
duck: duck | duckling
swan: swan
owl: owl
eagle: eagle | hawk
penguin: penguin
parrot: parrot
flamingo: flamingo
bird: bird, black bird, dove | pigeon, crow
frog: frog | toad
turtle: turtle | tortoise
crocodile: crocodile | alligator
snake: snake
dragon: dragon, dragon face
dinosaur: sauropod, t-rex
whale: whale, spouting whale
dolphin: dolphin
shark: shark
fish: fish, tropical fish, blowfish
octopus: octopus | octopuses
crab: crab
snail: snail
butterfly: butterfly | butterflies
bee: honeybee | bumblebee
ladybird: lady beetle | ladybug
spider: spider
mushroom: mushroom, brown mushroom | toadstool
cactus: cactus | cacti
tree: deciduous tree, evergreen tree, leafless tree | pine, fir, oak
palm tree: palm tree | palm
christmas tree: christmas tree
rose: rose
tulip: tulip
sunflower: sunflower
flower: blossom, hibiscus, cherry blossom, white flower, hyacinth, lotus | daisy, daisies, orchid, lily
leaf: maple leaf, fallen leaf, leaf fluttering in wind | leaves
apple: red apple, green apple
pear: pear
tangerine: tangerine | mandarin
lemon: lemon, lime
banana: banana
grapes: grapes | grape
watermelon: watermelon
strawberry: strawberry | strawberries
cherries: cherries | cherry
peach: peach
pineapple: pineapple
tomato: tomato
eggplant: eggplant | aubergine
carrot: carrot
corn: ear of corn | maize
pepper: hot pepper, bell pepper | chili, chilli
egg: egg
chestnut: chestnut
bread: bread, baguette bread, flatbread | loaf, loaves
cheese: cheese wedge
pizza: pizza
hamburger: hamburger | burger, cheeseburger
hot dog: hot dog
french fries: french fries | fries
ice cream: ice cream, soft ice cream
doughnut: doughnut | donut
cake: birthday cake, shortcake, cupcake | muffin
cookie: cookie | biscuit
lollipop: lollipop
cup: hot beverage, teacup without handle | coffee, tea, mug, teacup
wine glass: wine glass | wine, glass of wine
beer: beer mug, clinking beer mugs | mug of beer
car: automobile, oncoming automobile, sport utility vehicle, racing car, taxi, oncoming taxi, police car, oncoming police car | cab
bus: bus, oncoming bus, minibus, trolleybus
truck: delivery truck, articulated lorry, pickup truck, fire engine, ambulance | lorry, lorries, van
train: train, locomotive, bullet train, high-speed train, metro, light rail, tram, tram car, railway car | streetcar, subway
bicycle: bicycle | bike
motorcycle: motorcycle | motorbike
tractor: tractor
airplane: airplane, small airplane, airplane arrival, airplane departure | aeroplane, plane, jet
helicopter: helicopter
rocket: rocket | spaceship
flying saucer: flying saucer | ufo
boat: sailboat, motor boat, speedboat, canoe, ship, ferry, passenger ship | yacht
anchor: anchor
house: house, house with garden, hut | cottage, home
castle: castle
church: church
tent: tent, camping
chair: chair, seat
bed: bed
sofa: couch and lamp | couch
door: door
elevator: elevator | lift
clock: alarm clock, mantelpiece clock, one o'clock, two o'clock, three o'clock, four o'clock, five o'clock, six o'clock, seven o'clock, eight o'clock, nine o'clock, ten o'clock, eleven o'clock, twelve o'clock, one-thirty, two-thirty, three-thirty, four-thirty, five-thirty, six-thirty, seven-thirty, eight-thirty, nine-thirty, ten-thirty, eleven-thirty, twelve-thirty
watch: watch | wristwatch
television: television | tv
camera: camera, camera with flash
telephone: telephone, telephone receiver
mobile phone: mobile phone, mobile phone with arrow | smartphone, cell phone, cellphone, phone
computer: laptop, desktop computer
keyboard: keyboard
piano: musical keyboard
guitar: guitar
violin: violin | fiddle
flute: flute
trumpet: trumpet
drum: drum, long drum
microphone: microphone, studio microphone | mic
bell: bell
key: key, old key
padlock: locked, unlocked, locked with key, locked with pen | lock
light bulb: light bulb | lightbulb, bulb
candle: candle
scissors: scissors
hammer: hammer
axe: axe | ax, hatchet
knife: kitchen knife, dagger | knives
pencil: pencil
razor: razor
book: closed book, green book, blue book, orange book, open book, notebook with decorative cover, notebook
envelope: envelope, incoming envelope, envelope with arrow, e-mail, love letter | letter
umbrella: umbrella, umbrella with rain drops, closed umbrella, umbrella on ground | parasol
glasses: glasses, sunglasses, goggles | spectacles
hat: top hat, woman's hat, billed cap | cap
crown: crown
dress: dress
shirt: t-shirt, running shirt
shorts: shorts
jeans: jeans | trousers, pants
socks: socks | sock
shoe: man's shoe, running shoe, flat shoe, high-heeled shoe, hiking boot, woman's boot | boot, sneaker
purse: purse, handbag, clutch bag | bag
backpack: backpack | rucksack
ring: ring
gem: gem stone | diamond, jewel
ribbon: ribbon, reminder ribbon | bow
balloon: balloon
gift: wrapped gift | gift box
soccer ball: soccer ball | football
basketball: basketball
volleyball: volleyball
baseball: baseball
trophy: trophy | trophies
sun: sun, sun with face
moon: crescent moon, first quarter moon, last quarter moon, waxing crescent moon, waning crescent moon, waxing gibbous moon, waning gibbous moon, full moon, new moon, first quarter moon face, last quarter moon face, full moon face, new moon face
star: star, glowing star
cloud: cloud, cloud with rain, cloud with snow, cloud with lightning, cloud with lightning and rain
rainbow: rainbow
snowflake: snowflake
snowman: snowman, snowman without snow
lightning: high voltage | lightning bolt, thunderbolt
fire: fire | flame, bonfire
droplet: droplet, drop of blood | water drop, raindrop
mountain: mountain, snow-capped mountain, mount fuji, volcano
heart: red heart, orange heart, yellow heart, green heart, blue heart, light blue heart, purple heart, brown heart, black heart, grey heart, white heart, pink heart, broken heart, growing heart, beating heart, sparkling heart, heart with arrow, heart with ribbon, heart suit, heart on fire, mending heart, heart exclamation, two hearts, revolving hearts
ghost: ghost
skull: skull
robot: robot
alien: alien
globe: globe showing americas, globe showing europe-africa, globe showing asia-australia, globe with meridians | earth
smiley: angry face, anguished face, anxious face with sweat, astonished face, beaming face with smiling eyes, cold face, confounded face, confused face, cowboy hat face, crying face, disappointed face, disguised face, distorted face, dotted line face, downcast face with sweat, drooling face, enraged face, expressionless face, face blowing a kiss, face exhaling, face holding back tears, face in clouds, face savoring food, face screaming in fear, face vomiting, face with bags under eyes, face with crossed-out eyes, face with diagonal mouth, face with hand over mouth, face with head-bandage, face with medical mask, face with monocle, face with open eyes and hand over mouth, face with open mouth, face with peeking eye, face with raised eyebrow, face with rolling eyes, face with spiral eyes, face with steam from nose, face with symbols on mouth, face with tears of joy, face with thermometer, face with tongue, face without mouth, fearful face, flushed face, frowning face, frowning face with open mouth, grimacing face, grinning face, grinning face with big eyes, grinning face with smiling eyes, grinning face with sweat, grinning squinting face, hot face, hushed face, kissing face, kissing face with closed eyes, kissing face with smiling eyes, loudly crying face, lying face, melting face, money-mouth face, nauseated face, nerd face, neutral face, partying face, pensive face, persevering face, pleading face, relieved face, sad but relieved face, saluting face, shaking face, shushing face, sleeping face, sleepy face, slightly frowning face, slightly smiling face, smiling face, smiling face with halo, smiling face with heart-eyes, smiling face with hearts, smiling face with open hands, smiling face with smiling eyes, smiling face with sunglasses, smiling face with tear, smirking face, sneezing face, squinting face with tongue, thinking face, tired face, unamused face, upside-down face, weary face, winking face, winking face with tongue, woozy face, worried face, yawning face, zany face, zipper-mouth face, exploding head, rolling on the floor laughing, star-struck | smiley face, happy face, sad face, emoji
"""  # noqa: E501 - a table
"""`class: names of the art | further words`, a line each."""


@dataclass(frozen=True)
class SegmentClass:
    """A noun, the art that shows it, and further words of prompts for it."""

    name: str
    art: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def spoken(self) -> tuple[str, ...]:
        """Every word of a prompt that names the class."""
        return tuple(dict.fromkeys((self.name, *self.art, *self.words)))


def _class_of(line: str) -> SegmentClass:
    name, _, rest = line.partition(": ")
    art, _, words = rest.partition(" | ")
    return SegmentClass(name, tuple(art.split(", ")), tuple(words.split(", ")) if words else ())


SEGMENT_CLASSES = tuple(map(_class_of, _TABLE.strip().splitlines()))
"""The classes in the order of the network's outputs, without the background and what belongs to no class."""


def places_of(names: Sequence[str], classes: Sequence[SegmentClass]) -> tuple[int, ...]:
    """Returns the place, from 1, of the class of each of the art's names; 0 for those that belong to none."""
    place = {name: at for at, named in enumerate(classes, 1) for name in named.art}
    return tuple(place.get(name, 0) for name in names)
