"""What `batchgen init` writes: a manifest, its table and a configuration to begin with."""

from __future__ import annotations

MANIFEST = """\
# yaml-language-server: $schema=schemas/manifest.schema.json
# The line above lets an editor explain, complete and check this file while you type (in VS Code: the extension YAML).
#
# A job for batchgen: which pictures to make. What stands behind a # is a note and changes nothing.
#   batchgen validate my-first-job.yaml    finds mistakes, and says what to write instead
#   batchgen plan my-first-job.yaml        shows what would be made and what it would cost; makes nothing
#   batchgen run my-first-job.yaml         makes it; running it again goes on where it stopped
# The blanks at the beginning of a line say what belongs to what: keep them.

batchgen: 1                       # version of this language: always 1
job: my-first-job                 # name of the job, and of its folder in output/
description: A first look around  # your own words, shown in the report
provider: sandbox                 # paints test pictures for free; cometapi or openai make real ones, and charge for them
model: gpt-image-2                # who paints; `batchgen models` says which model is good at what

request:                          # how every picture is made; `batchgen models gpt-image-2` lists what there is
  size: 1024x1024                 # width x height in pixels
  quality: low                    # low, medium or high: better costs more
  output_format: png              # type of the files: png, jpeg or webp

prompt_template: "{prompt} Soft daylight."   # what every prompt becomes: {prompt} is where it goes

limits:                           # the job keeps within all of these
  budget_usd: 1.00                # the most that it may ever spend, in US dollars
  # images_per_minute: 20         # take away the first # if your account allows only so many
  # finish_by: "06:30"            # nothing is asked for after this time; it needs its quotes

prompts:                          # what to paint: every entry begins with a dash
  - id: paper-boat                # its name, and that of its files: paper-boat--01.png, paper-boat--02.png
    prompt: A paper boat floating on calm water at sunrise.
    images: 2                     # two tries of the same prompt, to choose from

  - id: mug                       # a prompt with choices: {color} and {surface} are filled in from `vary`
    prompt: A {color} mug on a {surface} table.
    vary:                         # every combination becomes a picture ...
      color: [red, blue]
      surface: [wooden, marble]
    exclude:                      # ... but for this one
      - {color: red, surface: marble}
    request: {quality: medium}    # for this entry alone
    tags: [shop]                  # words to find its pictures by

  - table: products.csv           # a picture for every row of a table; edit it with Excel or LibreOffice
    id: "{sku}"                   # {sku}, {name} and {tagline} are columns of the table
    prompt: "{name}: {tagline}. Catalogue photo."
"""

TABLE = """\
sku,name,tagline
tea-01,Green tea,fresh leaves in a glass pot
tea-02,Black tea,a strong cup for early mornings
choc-01,Dark chocolate,"broken pieces, seventy per cent cocoa"
"""

CONFIG = """\
# yaml-language-server: $schema=schemas/config.schema.json
# The operator's settings for batchgen, found from the working directory upwards. All of it is optional.
# Only its owner may be able to write this file (chmod go-w): it decides where keys are sent.
# Keys themselves stay in the environment: COMETAPI_KEY, OPENAI_API_KEY, or what key_env names.
providers:
  cometapi:
    images_per_minute: 60         # ceilings over all jobs of one process
    concurrency: 16
    deadline: 600s                # of one request; large images take minutes
  # gateway:                      # any provider that speaks OpenAI's images API
  #   base_url: https://images.example.com/v1
  #   key_env: GATEWAY_KEY
  #   models: {gpt-image-2: {images_per_minute: 20}}

# catalogue:                      # models that batchgen does not know, or your own prices
#   my-model: {family: gpt-image-2, price_usd: 0.04}

defaults: {concurrency: 8}        # for manifests that do not say
output: output                    # relative to this file
verify: structure                 # or decode: also decodes every image before it counts as stored
"""
