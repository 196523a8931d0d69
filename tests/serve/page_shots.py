#!/usr/bin/env python3
"""Takes the pictures of docs/images from the page in front of the embedded model, with other clients beside it.
usage: page_shots.py TERN FOLDER"""
import json, os, shutil, subprocess, sys, threading, time, urllib.error, urllib.request

import browser
from served import Served

QUERIES = ['we need kogi carpet instead of ukulelesunder 50 euros', 'Grusri something for folk dances aboht 50 eur for my byrthday']


def company(url, stop):
    """Asks now and then with deadlines, until told to stop."""
    i = 0
    while not stop.wait(0.04):
        i += 1
        body = {'messages': [{'role': 'user', 'content': f'{("red", "blue", "green")[i % 3]} boots undr {i % 90}'}], 'deadline_ms': 500}
        try:
            urllib.request.urlopen(url + 'v1/chat/completions', json.dumps(body).encode()).read()
        except urllib.error.HTTPError:
            pass  # refused


def ask(page, question, answers):
    page.evaluate('document.querySelector("#question").focus()')
    page.type(question)
    page.press('Enter')
    done = f'document.querySelectorAll(".facts").length === {answers}'
    retry = 'document.querySelector(".notice button:not(:disabled)")'
    while not page.evaluate(done):
        page.evaluate(f'{retry} && {retry}.click()')
        time.sleep(0.2)


def shoot(page, url, path, seconds, view='chat', **how):
    page.open(url, **how)
    page.wait('document.querySelector(".example")')
    page.evaluate('deadline.value = 30, deadline.dispatchEvent(new Event("input"))')
    time.sleep(seconds / 2)
    for i, query in enumerate(QUERIES[:1 if how.get('phone') else 2]):
        ask(page, query, i + 1)
    page.evaluate(f'document.querySelector("[data-show={view}]").click(), document.activeElement.blur()')
    page.evaluate('document.querySelector(".thinking").open = true, document.querySelector("#scroller").scrollTop = 0')
    time.sleep(seconds / 2)
    page.screenshot(path)
    if shutil.which('pngquant'):  # a fifth of the bytes
        subprocess.run(['pngquant', '--force', '--ext', '.png', '64', path], check=True)


def main():
    tern, folder = sys.argv[1:]
    served, stop = Served(tern), threading.Event()
    clients = [threading.Thread(target=company, args=(served.url, stop)) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        with browser.Browser(browser.find()) as page:
            shoot(page, served.url, os.path.join(folder, 'page-light.png'), 100, width=1440, height=900)
            shoot(page, served.url, os.path.join(folder, 'page-dark.png'), 100, width=1440, height=900, dark=True)
            shoot(page, served.url, os.path.join(folder, 'page-phone.png'), 10, width=390, height=844, scale=2, phone=True)
    finally:
        stop.set()
        for client in clients:
            client.join()
        served.stop()


if __name__ == '__main__':
    main()
