import MQLock

/// Prints what it knows of the time zones in its arguments.
@main struct Program {
    static func main() {
        for zone in CommandLine.arguments.dropFirst() {
            do throws(LockError) {
                print(try Schedule.cron("0 3 * * *", in: zone).next(after: 0) ?? 0)
                _ = try Period.day(in: zone)
            } catch { print(error) }
        }
    }
}
