extension CommandDescriptor {
    static let fence = Self(
        kind: .fence, summary: "refuse the writes of former holders, in scripts",
        operands: "check FILE [-- COMMAND [ARG…]] | show FILE",
        operandWords: FenceOptions.Action.allCases.map(\.rawValue),
        takesFile: true, options: OptionDescriptor.fence, mayTakeCommand: true,
        notes: """
            check compares a fencing token with the largest that FILE remembers for the lock. A smaller one is stale:
            somebody else has held the lock since, and what was done under it must not be written. Any other is
            remembered, on the disk, over crashes, for all processes of this machine. FILE is made at the first check, in
            a directory that is there, and FILE.lock beside it, for its owner alone; keep both.

            COMMAND runs only when the token was admitted, and while it and what it started run nobody else is admitted:
            check and write are one step. Without COMMAND a holder that is stopped behind the check writes late. COMMAND
            takes the place of mqlock, so signals and its exit status are its own; it must not check the same FILE, which
            would wait for itself. 'timeout 10s mqlock fence check …' limits the wait and the command together.

              mqlock run job -- sh -c './work && mqlock fence check ledger.fence -- sh -c "cat result >> ledger"'

            Without --name and MQLOCK_NAME, FILE is for one lock, and cannot be used for named ones.
            show writes a line for every lock that FILE knows: the largest token, and the name.

            --json writes objects with "event": admitted, stale, failed (on stderr), mark (show, on stdout); "time", "name",
            "fence" and "highest" (as text), "status", "message".

            Exit status: COMMAND's own, and
              0    admitted and remembered; show: there are marks
              1    show: there are none
              64   bad usage, name or token; a token too far ahead of the clock
              65   the token is stale (see -E); nothing was run or changed
              74   FILE cannot be read, written or trusted: no fence file, damaged, no directory, disk full; nothing was run,
                   what was remembered before still stands
              77   the same for want of permission
              78   FILE is used with and without names
              126  COMMAND cannot be executed
              127  COMMAND is not found
            """)
}

extension OptionDescriptor {
    static let fence = [
        Self(
            key: .fence, long: "fence", value: .text("N"),
            summary: "the fencing token; else $MQLOCK_FENCE, which mqlock run sets"),
        Self(
            key: .name, long: "name", value: .text("NAME"),
            summary: "the lock that the token is of; else $MQLOCK_NAME, which mqlock run sets"),
        Self(
            key: .lead, long: "lead", value: .text("DUR"),
            summary:
                "how far a token may be ahead of this machine's clock (default 24h); none for tokens that are not made "
                + "from a clock, as those of mqlock are. One wrong token without that limit would shut out all holders"),
        Self(
            key: .conflictStatus, long: "stale-exit-code", short: "E", value: .text("CODE"),
            summary: "exit status when the token is stale (default 65)"),
        Self(key: .json, long: "json", summary: "tell what happens as JSON, one object a line"),
    ]
}
