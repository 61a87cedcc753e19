#!/usr/bin/env python3
"""Writes customers.csv, orders.csv, order_items.csv, tickets.csv and users.yaml: the same each time."""
import csv
import datetime as dt
import pathlib
import random

HERE = pathlib.Path(__file__).parent
random.seed(20417)
TODAY = dt.date(2026, 11, 24)

FIRST = "Mara Jonas Ines Pieter Lucie Emil Sofia Bram Clara Hugo Nora Matteo Freya Anton Elise Tomas Ida Oscar Lena Ruben Alma Victor Greta Noah Julie Felix Astrid Leon Marit Paul Hanna Simon Vera Niels Olga Theo Anouk Karl Petra Milan Signe Erik Dora Lukas Rosa Jan".split()
LAST = "Lindt Weber Costa DeVries Moreau Berger Rossi Jansen Novak Laurent Hansen Ricci Nilsson Keller Dubois Svoboda Lund Bakker Fischer Mertens Silva Peeters Wagner Visser Bernard Huber Dahl Schmid Berg Koenig Maier Petit Kowalska Smit Nowak Garnier Leroy Bauer Horak Vidal Olsen Kaya Farkas Blom Conti Vos".split()
CITIES = [("Utrecht", "Netherlands"), ("Ghent", "Belgium"), ("Freiburg", "Germany"), ("Lyon", "France"), ("Innsbruck", "Austria"), ("Aarhus", "Denmark"), ("Turin", "Italy"), ("Zurich", "Switzerland"), ("Prague", "Czechia"), ("Malmo", "Sweden")]
CARRIER = {"Netherlands": "PostNL", "Belgium": "PostNL", "Germany": "DHL", "France": "DPD", "Austria": "DPD", "Denmark": "GLS", "Italy": "GLS", "Switzerland": "Swiss Post", "Czechia": "DPD", "Sweden": "DHL"}
FEE = {"Netherlands": (3.90, 50), "Belgium": (4.90, 75), "Germany": (4.90, 75), "France": (6.90, 100), "Austria": (6.90, 100), "Denmark": (6.90, 100), "Italy": (9.90, 150), "Switzerland": (14.90, 200), "Czechia": (9.90, 150), "Sweden": (9.90, 150)}
PRODUCTS = [("BOOT-PLV", "Plover boots", 219.0), ("BOOT-DNL", "Dunlin boots", 189.0), ("SHOE-WHM", "Whimbrel approach shoes", 129.0), ("TENT-LP2", "Lapwing 2 tent", 329.0), ("TENT-SD4", "Sanderling 4 tent", 549.0), ("PACK-H65", "Heron 65 backpack", 199.0),
            ("PACK-C28", "Curlew 28 backpack", 99.0), ("BAG-M300", "Merlin 300 sleeping bag", 249.0), ("BAG-M600", "Merlin 600 sleeping bag", 379.0), ("STOV-WR2", "Wren 2 stove", 64.9), ("STOV-WRM", "Wren Mini stove", 39.9), ("JACK-KES", "Kestrel rain jacket", 179.0),
            ("JACK-GOS", "Goshawk down jacket", 229.0), ("LAMP-OW3", "Owl 300 headlamp", 44.9), ("SOCK-MER", "Merino hiking socks", 18.9), ("POLE-AVO", "Avocet trekking poles", 89.0), ("BOTT-075", "Steel bottle 0.75 l", 24.9), ("WAX-BEE", "Beeswax for boots", 9.9)]
PAYMENTS = ["card", "PayPal", "iDEAL", "Klarna", "bank transfer"]


def write(name, header, rows):
    with open(HERE / name, "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


customers = []
for i in range(46):
    first, last = FIRST[i], LAST[i]
    city, country = CITIES[i % len(CITIES)]
    customers.append([f"C{1001 + i}", f"{first}.{last}@example.com".lower(), f"{first} {last}", f"+31 6 5550 {1000 + 37 * i}", f"Larch Lane {3 + 2 * i}", city, country,
                      (dt.date(2019, 3, 1) + dt.timedelta(days=57 * i)).isoformat(), str((i * 137) % 2900)])

orders, items = [], []


def add_order(number, customer, placed, status, lines):
    city, country = customer[5], customer[6]
    fee, free_from = FEE[country]
    goods = sum(price * quantity for _, _, price, quantity in lines)
    total = goods + (0 if goods >= free_from else fee)
    promised = placed + dt.timedelta(days=6)
    delivered = placed + dt.timedelta(days=4) if status in ("delivered", "returned") else None
    sent = status in ("shipped", "delivered", "returned")
    orders.append([f"LF-{number}", customer[0], placed.isoformat(), status, f"{total:.2f}", CARRIER[country] if sent else "", f"TRK{number * 7919 % 10**9:09d}" if sent else "",
                   promised.isoformat() if status != "cancelled" else "", delivered.isoformat() if delivered else "", city, PAYMENTS[number % len(PAYMENTS)]])
    for line, (sku, product, price, quantity) in enumerate(lines, 1):
        items.append([f"LF-{number}", line, sku, product, quantity, f"{price:.2f}"])


BY_SKU = {sku: (sku, product, price) for sku, product, price in PRODUCTS}
fixed = {
    20417: (0, dt.date(2026, 11, 20), "shipped", [("BOOT-PLV", 1), ("WAX-BEE", 2)]),
    20388: (0, dt.date(2026, 11, 3), "delivered", [("TENT-LP2", 1)]),
    20312: (0, dt.date(2026, 10, 11), "returned", [("JACK-KES", 1)]),
    20421: (0, dt.date(2026, 11, 23), "processing", [("SOCK-MER", 3)]),
    20420: (1, dt.date(2026, 11, 22), "packed", [("BAG-M600", 1), ("BOTT-075", 1)]),
    20402: (2, dt.date(2026, 11, 14), "cancelled", [("STOV-WR2", 1)]),
}
for number in range(20200, 20430):
    if number in fixed:
        who, placed, status, lines = fixed[number]
        add_order(number, customers[who], placed, status, [(*BY_SKU[sku], quantity) for sku, quantity in lines])
        continue
    placed = dt.date(2026, 9, 1) + dt.timedelta(days=int((number - 20200) * 83 / 230))
    age = (TODAY - placed).days
    status = random.choice(["processing", "packed"]) if age <= 1 else random.choice(["packed", "shipped", "shipped"]) if age <= 3 else random.choices(["delivered", "returned", "cancelled"], [86, 8, 6])[0]
    lines = [(*product, random.choice([1, 1, 1, 2])) for product in random.sample(PRODUCTS, random.choice([1, 1, 2, 3]))]
    add_order(number, random.choice(customers[1:]), placed, status, lines)

tickets = []
SUBJECTS = ["Zip of the Kestrel jacket is stuck", "Where is my refund?", "Wrong size delivered", "Invoice with VAT number", "Pole segment broken", "Parcel marked as delivered", "Gift card code does not work", "Headlamp flickers", "Question about the recall", "Change of address", "Return label missing",
            "Boots squeak", "Points missing after review", "Klarna invoice twice"]
for i, subject in enumerate(SUBJECTS):
    order = orders[5 + 13 * i]
    tickets.append([f"T-{9001 + i}", order[1], order[0], subject, f"{subject}. It is about order {order[0]}.", "closed" if i < 10 else "open", (dt.date(2026, 10, 1) + dt.timedelta(days=3 * i)).isoformat()])

write("customers.csv", ["id", "email", "name", "phone", "street", "city", "country", "member_since", "points"], customers)
write("orders.csv", ["id", "customer", "placed_on", "status", "total_eur", "carrier", "tracking", "promised_on", "delivered_on", "ship_city", "payment"], orders)
write("order_items.csv", ["order", "line", "sku", "product", "quantity", "price_eur"], items)
write("tickets.csv", ["id", "customer", "order", "subject", "body", "status", "created_on"], tickets)
with open(HERE / "users.yaml", "w") as out:
    out.write("# Who may sign in to the sample. The password is for trying it out; a real shop has its own users.\n")
    staff = [("ana.reyes@larkfield.example", "Ana Reyes", "agent"), ("tom.okafor@larkfield.example", "Tom Okafor", "agent"), ("admin@larkfield.example", "Larkfield Admin", "admin")]
    for customer in customers:
        out.write(f"- {{email: {customer[1]}, name: {customer[2]}, role: customer, customer: {customer[0]}, demo_password: larkfield}}\n")
    for email, name, role in staff:
        out.write(f"- {{email: {email}, name: {name}, role: {role}, demo_password: larkfield}}\n")
