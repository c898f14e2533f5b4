# popmap.re: which real server a user belongs to, by the form of the name; see perdition-map-regex(8).
#
# <expression>: [<user><delimiter>]<host>[:<port>]
#
# The first expression that matches counts. None is anchored unless it says so. Words are parted by blanks; a blank or
# a # within a word needs quotes or a backslash, and a backslash is written twice.

# Users of one domain live on a server of their own, under their bare names.
^(.*)@example\\.org$: $1@mail.example.org

# joe+lists is joe.
^([^+]*)\\+: $1@imap1.example.com

# The rest by first letter.
^[a-k]: imap1.example.com
^[l-z]: imap2.example.com:1143
