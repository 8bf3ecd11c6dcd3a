"""A batch of fifty what-ifs of an account."""
import json
import sys

account, instrument = sys.argv[1:]
orders = [[{"instrument": instrument, "quantity": n + 0.5}] for n in range(50)]
print(json.dumps({"what_ifs": [{"account": account, "orders": order} for order in orders]}))
