#!/usr/bin/env python3
"""Random cases, and what reference.py makes of them, in the form of examples.json: one line of JSON.
   usage: cross_check.py SEED NUMBER"""
import datetime as dt, json, os, random, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import reference as ref

rnd = random.Random(int(sys.argv[1]))
DAY0 = dt.date(2024, 1, 1)


def maybe(p): return rnd.random() < p
def number(): return rnd.choice([0.0, 1.0, rnd.uniform(0, 1), rnd.uniform(0, 100), rnd.lognormvariate(8, 3)])
def signed(): return number() * rnd.choice([1, 1, 1, -1])
def share(): return rnd.choice([0.0, 1.0, rnd.random(), rnd.random(), rnd.random()])
def shares2():
    a, b = sorted([share(), share()])
    return a, b
def days(n): return [float(rnd.choice([0, 0, rnd.randint(0, 9), round(rnd.lognormvariate(5, 2), 2), -3 if maybe(.1) else 2])) for _ in range(n)]
def target():
    kind = rnd.choice(['at_least', 'at_most', 'between'])
    low = signed()
    return dict(kind=kind, target=low, high=low + number() if kind == 'between' else None)
def noise(): return None if maybe(.1) else rnd.choice([0.0, rnd.uniform(0, 3), number()])
def calendar():
    working = sorted(rnd.sample(range(7), rnd.choice([0, 3, 5, 6])))
    if not working: working = [5]
    return working, [DAY0 + dt.timedelta(40 * k) for k in range(rnd.choice([0, 3]))]
def days_of(length):
    start = DAY0 + dt.timedelta(rnd.randint(0, 60)); end = start + dt.timedelta(rnd.choice([0, 1, 6, 29, 90, length]))
    return start, end, start + dt.timedelta(rnd.randint(-2, (end - start).days + 2))


def share_workdays():
    working, holidays = calendar(); start, end, day = days_of(200)
    i = dict(start=start, end=end, day=day, working=working, holidays=holidays)
    one = dt.timedelta(1); gone = ref.workdays(start, min(day, end) + one, working, holidays)
    return i, dict(share=ref.share_workdays(**i), workdays=ref.workdays(start, end + one, working, holidays), gone=gone)
def level():
    i = dict(totals=[signed() for _ in range(rnd.randint(0, 9))], grain=rnd.choice(list(ref.MONTHS)))
    return i, dict(level=ref.level(**i))
def season():
    i = dict(pairs=[(signed(), rnd.choice([None, signed()])) for _ in range(rnd.randint(0, 3))])
    return i, dict(season=ref.season(i['pairs']))
def dispersion():
    i = dict(months=[days(rnd.choice([28, 30, 31])) for _ in range(rnd.randint(1, 14))])
    return i, dict(phi=ref.dispersion(i['months']))
def dispersion_ratio():
    n = rnd.randint(1, 60); den = [float(rnd.randint(0, 5)) for _ in range(n)]; num = [float(rnd.randint(0, int(d))) for d in den]
    return dict(num_days=num, den_days=den), dict(phi=ref.dispersion_ratio(num, den) if sum(den) else None)
def cum_share():
    i = dict(days=days(rnd.choice([7, 28, 31, 92])), u=share())
    return i, dict(share=ref.cum_share(**i))
def profile():
    i = dict(base=share(), shares=[None if maybe(.2) else share() for _ in range(rnd.randint(0, 6))])
    return i, dict(F=ref.profile(**i))
def own_span():
    F_s, F_e = shares2()
    if F_e - F_s < 1e-3: F_s, F_e = 0.25, 0.75
    G, F = shares2(); i = dict(F=F, G=G, F_s=F_s, F_e=F_e, M=number())
    return i, ref.own_span(**i)
def flow():
    G, F = shares2()
    return dict(A_yest=signed(), a_today=signed(), G=G, F=F, M=signed(), phi=noise(), may_fall=maybe(.3), over=maybe(.1))
def additive():
    i = dict(target(), **flow())
    return i, ref.additive(**i)
def known_denominator():
    i = dict(target(), D=number() + 1, **flow())
    return i, ref.known_denominator(**i)
def ratio():
    FN, FD = share(), share(); D = float(rnd.randint(0, 300)); bounded = maybe(.5)
    i = dict(target(), N=float(rnd.randint(0, int(D))) if bounded else (number() if D else 0.0), D=D, FN=FN, FD=FD, N0=number(), D0=number(),
             phi=noise(), bounded=bounded, over=maybe(.1))
    return i, ref.ratio(**i)
def balance():
    G, F = shares2(); i = dict(target(), opening=number(), now=number(), G=G, F=F, flow0=signed(), var_day=rnd.choice([0.0, number()]), days=rnd.randint(1, 366), over=maybe(.1))
    return i, ref.balance(**i)
def largest_remainder():
    step = rnd.choice(['1', '0.01', '0.5', '1000']); total = str(rnd.randint(-10 ** rnd.randint(1, 9), 10 ** rnd.randint(1, 9)) * ref.Fraction(step) * 2 / 2)
    total = str(float(ref.Fraction(total))) if '/' in total else total
    i = dict(total=total, step=step, weights=[rnd.choice([0, 1, 2, 3, round(rnd.uniform(0, 50), 2)]) for _ in range(rnd.randint(1, 12))] + [1])
    return i, dict(parts=ref.largest_remainder(i['total'], i['weights'], i['step']))
def capacity():
    working, holidays = calendar(); start, end, _ = days_of(300); ramp = [round(rnd.random(), 2) for _ in range(rnd.randint(0, 5))]
    since = [DAY0 + dt.timedelta(rnd.randint(-200, 200)) for _ in range(3)]
    return (dict(start=start, end=end, since=since, ramp=ramp, working=working, holidays=holidays),
            dict(capacity=[float(ref.capacity(start, end, s, ramp, working, holidays)) for s in since]))
def phased():
    n = rnd.randint(1, 5); at = sorted(share() for _ in range(n)); value = sorted(number() for _ in range(n))
    points = list(zip(at, value)) + [(1.0, value[-1] + 1)]; F = share()
    return dict(points=points, F_day=F), dict(at=ref.phased(points, F))
def suggest():
    i = dict(M=number(), phi=number())
    return i, ref.suggest(**i)
def activities():
    i = dict(target=number(), actual=number(), per_deal=number() + 1, rates=[['s%d' % k, None if k == 0 or maybe(.1) else share()] for k in range(rnd.randint(1, 5))],
             lag=rnd.randint(0, 20), days_left=rnd.randint(0, 40), members=rnd.randint(1, 9))
    steps = [s for s in ref.activities(**i) if s[1] is not None]
    return i, dict(needed=[s[1] for s in steps], per_day=[s[2] for s in steps])
def status():
    i = dict(target(), additive_=maybe(.5), complete=maybe(.9), started=maybe(.9), over=maybe(.3), value=None if maybe(.1) else signed(),
             expected=signed(), F=rnd.choice([0.03, 0.05, share()]), p=None if maybe(.4) else rnd.choice([0.5, 0.2, share()]), may_fall=maybe(.3))
    if maybe(.3): i['value'] = i['target']
    if maybe(.1): i['target'] = i['high'] = None
    return i, dict(zip(('status', 'rule'), ref.status(**i)))


functions = [share_workdays, level, season, dispersion, dispersion_ratio, cum_share, profile, own_span, additive, known_denominator, ratio, balance,
             largest_remainder, capacity, phased, suggest, activities, status]
weights = [{'additive': 6, 'ratio': 6, 'status': 6, 'balance': 3, 'known_denominator': 3}.get(f.__name__, 1) for f in functions]
cases = []
for k in range(int(sys.argv[2])):
    f = rnd.choices(functions, weights)[0]; i, o = f()
    cases.append(dict(name=f'random {k}', called=f.__name__, inputs=i, outputs=o))
print(json.dumps(cases, default=lambda x: x.isoformat()))
