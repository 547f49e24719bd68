# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words of the little world that the stories play in.

Plain tables.  What belongs together stands in one row, so that a cat drinks milk and
says meow in every story, and a lost thing is found where such a thing can lie.
"""

GIRLS = '''Mia Lily Anna Emma Sara Lucy Nina Rosa Ella Zoe Clara Maya Ruby Alice Jane Molly Grace
Sue Amy Kate Lina Tina Hana Ada Ivy Elsa Nora Daisy Eva Leah Mila Chloe Sophie Olga Priya Mei
Yuki Fatima Aisha Carmen Ingrid Paula Wendy Hazel Violet Betty Julia Laura Polly Susan'''.split()

BOYS = '''Tom Ben Max Sam Leo Tim Jack Finn Noah Omar Oscar Paul Peter Luca Hugo Alex Adam Dan Bob
Jim John Nick Joe Theo Otto Karl Ivan Ravi Kenji Wei Ali Hassan Diego Pedro Mark Luke Toby Felix
Erik Simon Henry Oliver Emil Fred George Billy Anton Marco Jonas Victor'''.split()

PETS = '''Coco Bella Milo Pip Fluffy Spot Buddy Rocky Luna Teddy Nibbles Biscuit Pepper Sunny Patch
Ginger Shadow Bruno Momo Pippa Toto Kiki Dash Hazel Willow Misty Snowy Whiskers Rusty Bubbles
Peanut Cookie Honey Mocha Tiny Lulu Bobo Penny Dot Fuzzy Maple Clover Poppy Ziggy Pebble'''.split()

# animal | food | sound | home
ANIMALS = '''
cat | milk | meow | a soft basket by the stove
dog | bones | woof | a wooden house in the yard
kitten | warm milk | meow | a box full of old socks
puppy | meat | woof | a basket behind the door
rabbit | carrots | squeak | a hole under the old oak tree
bunny | clover | squeak | a burrow on the green hill
mouse | cheese | squeak | a tiny hole in the wall
fox | berries | yip | a den at the edge of the forest
bear | honey | growl | a cave in the mountains
wolf | meat | howl | a den among the rocks
squirrel | nuts | chatter | a hollow tree
hedgehog | apples | snuffle | a pile of dry leaves
owl | seeds | hoot | a tall pine tree
bird | seeds | tweet | a nest in the apple tree
duck | bread | quack | the reeds by the pond
duckling | bread | peep | the reeds by the lake
frog | flies | ribbit | the quiet pond
turtle | green leaves | hum | the sandy bank of the river
fish | seaweed | blub | the deep blue lake
horse | hay | neigh | a big red barn
pony | apples | neigh | a stable on the farm
cow | grass | moo | a green meadow
sheep | grass | baa | a field with a white fence
lamb | clover | baa | a field behind the mill
goat | leaves | bleat | the rocky hillside
pig | corn | oink | a muddy yard on the farm
hen | corn | cluck | a small hen house
chick | corn | peep | a small hen house
lion | meat | roar | the wide yellow plain
tiger | meat | roar | the deep jungle
elephant | bananas | toot | the wide plain near the river
monkey | bananas | chatter | the top of a palm tree
giraffe | green leaves | hum | the land of tall trees
zebra | grass | neigh | the wide plain
crocodile | fish | snap | the slow brown river
parrot | mangoes | squawk | the green jungle
penguin | fish | squawk | the land of snow and ice
seal | fish | bark | the icy shore
whale | tiny shrimps | song | the wide blue sea
dolphin | fish | whistle | the warm blue sea
crab | seaweed | click | a hole in the wet sand
snail | lettuce | sigh | the vegetable garden
ant | crumbs | squeak | a hill of sand
bee | honey | buzz | a hive in the old tree
butterfly | sweet nectar | whisper | the flower garden
ladybug | dew | whisper | a rose bush
spider | flies | whisper | a corner of the attic
bat | moths | squeak | a dark cave
deer | grass | whisper | the quiet forest
mole | roots | snuffle | a tunnel under the meadow
beaver | bark | chatter | a house of sticks in the river
raccoon | corn | chatter | a hollow log
camel | dates | grunt | a tent in the desert
kangaroo | grass | chatter | the dry red plain
koala | leaves | hum | a tall gum tree
panda | bamboo | hum | the misty bamboo forest
swan | bread | honk | the silver lake
goose | bread | honk | a farm by the river
rooster | corn | crow | the farm yard
donkey | hay | bray | an old stable
snake | eggs | hiss | a hole under a warm stone
hamster | seeds | squeak | a little cage with a wheel
'''

# fantasy and trades | pronoun | food | home
FOLK = '''
dragon | he | roasted apples | a cave on top of the mountain
dragon | she | hot soup | a cave behind the waterfall
unicorn | she | silver grass | the magic forest
fairy | she | honey cake | a flower at the edge of the wood
giant | he | big bowls of porridge | a house as tall as a tower
robot | it | oil | a workshop full of wheels and wires
princess | she | strawberry cake | a white castle
prince | he | apple pie | a stone castle
king | he | roast chicken | a castle on the hill
queen | she | plum cake | a golden palace
knight | he | bread and cheese | a tower near the castle
pirate | he | fish soup | a ship with black sails
wizard | he | mushroom soup | a crooked tower
witch | she | pumpkin pie | a crooked house in the wood
mermaid | she | sea grapes | a palace under the sea
ghost | he | cold pudding | an empty old house
monster | he | pancakes | a cave under the hill
troll | he | turnip soup | a hut under the bridge
elf | he | nut bread | a house inside a tree
dinosaur | he | green leaves | the valley of ferns
snowman | he | cold ice cream | a snowy garden
astronaut | she | space noodles | a silver rocket
baker | he | warm bread | a house next to the bakery
farmer | he | potato soup | a farm near the village
farmer | she | corn soup | a farm beside the river
fisherman | he | fried fish | a hut by the sea
teacher | she | tomato soup | a small house near the school
doctor | she | rice and beans | a house on the main street
painter | he | noodles | a room full of pictures
gardener | she | carrot soup | a cottage full of flowers
sailor | he | fish soup | a house with a blue door
tailor | he | cabbage soup | a shop full of cloth
cook | she | dumplings | a room above the kitchen
shepherd | he | bread and cheese | a hut on the hillside
clown | he | pink ice cream | a wagon of the circus
'''

# things that are alive in stories | home
ALIVE = '''
train | the railway station
boat | the old harbor
car | a garage at the end of the street
truck | a yard behind the factory
bus | the bus station
tractor | a barn on the farm
airplane | a small airport
rocket | a field behind the town
balloon | a shop full of toys
kite | a box in the attic
teapot | a shelf in the kitchen
spoon | a drawer in the kitchen
lamp | a desk by the window
clock | the wall of the living room
star | the dark night sky
cloud | the wide blue sky
moon | the dark night sky
tree | the top of a green hill
flower | the middle of the garden
leaf | the branch of an old oak tree
pumpkin | the vegetable garden
snowflake | a big gray cloud
raindrop | a big gray cloud
teddy bear | a shelf in the bedroom
doll | a house made of wood
umbrella | a stand behind the door
pencil | a box on the desk
shoe | a box under the bed
cup | the kitchen table
bell | the tower of the church
drum | a corner of the music room
book | a shelf in the library
stone | the bottom of the stream
candle | a silver plate
broom | a corner of the kitchen
bicycle | a shed in the yard
lighthouse | a rock by the sea
windmill | the top of a windy hill
house | the end of a long road
river | a valley between two mountains
mountain | the edge of the land
seed | a paper bag in the shed
button | a tin box
key | a hook on the wall
'''.strip()

KID_TRAITS = ['kind', 'curious', 'cheerful', 'quiet', 'brave', 'clever', 'gentle', 'busy', 'friendly',
              'shy', 'helpful', 'happy', 'dreamy', 'careful', 'funny']
SIZES = ['little', 'small', 'young', 'tiny', '']
COLORS = ['red', 'blue', 'green', 'yellow', 'white', 'brown', 'purple', 'pink', 'orange', 'silver', 'golden']
FURS = ['white', 'brown', 'gray', 'black', 'orange', 'yellow', 'spotted', 'striped', 'fluffy', 'golden']

# a thing one owns | where it can hide
TREASURES = '''
ball | in the tall grass; behind the fence; under a bush
kite | on a branch of a tree; behind the shed; on the roof
hat | on a branch of a tree; behind the sofa; under the bench
doll | under the bed; behind the sofa; in the toy box
teddy bear | under the bed; behind the curtain; in the laundry basket
book | under the pillow; behind the sofa; on the highest shelf
scarf | on the fence; under a pile of leaves; behind the door
ring | between two stones; in the grass; under the rug
key | under the rug; in an old shoe; between two stones
bell | under a bush; in the hay; behind the barn
cup | behind the flour; on the garden wall; under the table
blanket | under the bed; in the laundry basket; behind the sofa
whistle | in an old shoe; in the grass; under the bench
umbrella | behind the door; under the bench; in the shed
coin | between two stones; under the rug; in an old shoe
shell | in the sand; under the pillow; in a small box
flute | in the hay; under the bench; in a hollow log
spoon | under the table; behind the flour; in the garden
toy boat | by the edge of the pond; in the reeds; under the bathtub
toy car | under the bed; behind the curtain; in an old shoe
drum | behind the sofa; in the shed; under the stairs
basket | behind the barn; under the apple tree; in the shed
crayon | under the table; behind the sofa; in the toy box
necklace | in the grass; under the pillow; in a small box
glove | in the snow; under a bush; behind the bench
sock | under the bed; in the laundry basket; behind the door
lantern | in the shed; behind the barn; under the stairs
pencil | under the rug; behind the desk; in the toy box
'''

QUALITIES = ['shiny', 'old', 'new', 'tiny', 'pretty', 'special', 'big', 'soft']
HARD = {'ball', 'ring', 'key', 'bell', 'cup', 'whistle', 'coin', 'shell', 'spoon', 'necklace', 'drum', 'flute',
        'toy boat', 'toy car', 'lantern', 'pencil', 'crayon'}

FOODS = '''apple pie; a loaf of bread; a honey cake; a bowl of soup; a basket of berries; a plate of cookies;
a big sandwich; a bag of nuts; a jar of jam; a bunch of grapes; a chocolate cake; a bag of cherries;
a plate of pancakes; a bowl of strawberries; a basket of pears; a box of sweets'''.replace('\n', ' ').split('; ')

# place | preposition
PLACES = '''park | in; forest | in; village | in; river | by; beach | on; hill | on; farm | on; garden | in; market | at;
lake | by; meadow | in; town | in; harbor | at; old bridge | near; pond | by; school yard | in; playground | at;
orchard | in; valley | in; seashore | on'''.replace('\n', ' ').split('; ')

LANDS = ['a small village', 'a quiet town', 'a green valley', 'a little house near the forest', 'a big city',
         'a village by the sea', 'a small house on a hill', 'a cottage by the river', 'a farm far away',
         'a yellow house with a red roof', 'a tall house on a busy street', 'a small town in the mountains']

FAMILY = ['mother|she', 'father|he', 'grandmother|she', 'grandfather|he', 'aunt|she', 'uncle|he']
PARENTS = ['mom|she', 'dad|he', 'grandma|she', 'grandpa|he', 'mother|she', 'father|he']

# who may be a wise helper, met on the way | pronoun
HELPERS = '''wise old owl | he; old turtle | she; friendly squirrel | he; kind old woman | she; old man with a white beard | he;
gray mouse | she; small blue bird | she; friendly dog | he; tall farmer | he; busy bee | she; kind baker | he;
old fisherman | he; young shepherd | he; clever crow | she; green frog | he; gentle deer | she;
girl with a yellow hat | she; boy with a red bicycle | he; old gardener | she; brown hen | she'''.replace('\n', ' ').split('; ')

WEATHERS = ['sunny', 'windy', 'rainy', 'cloudy', 'cold', 'warm', 'foggy', 'snowy', 'bright', 'hot']
SEASONS = ['spring', 'summer', 'autumn', 'winter']

SYLLABLES = 'ba be bi bo bu da de di do du fa fi fo ga go ka ki ko la le li lo lu ma me mi mo mu na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to tu va vi wa wi ya zo za'.split()
TAILS = ['', 'n', 'l', 'r', 's', 'x', 'k', 'm', 'ra', 'lla', 'na', 'nto', 'ck', 'bby', 'sha']


def rows(table):
    """'a | b\\nc | d' -> [['a', 'b'], ['c', 'd']]"""
    return [[cell.strip() for cell in line.split('|')] for line in table.strip().splitlines()]
