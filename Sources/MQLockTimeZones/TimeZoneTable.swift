#if canImport(FoundationInternationalization)
import FoundationEssentials
import FoundationInternationalization
#else
import Foundation
#endif

/// The IANA table of time zones, for programs that use nothing else of Foundation.
///
/// `Period.day(in:)` and `Schedule.cron(_:in:)` need it for every zone but UTC. To depend on this product is enough; there is
/// nothing to call. A program has the table anyway if it is linked dynamically and imports Foundation somewhere.
public enum TimeZoneTable {
    /// Whether the program has the table: true wherever this product is linked.
    public static var isPresent: Bool {
        #if canImport(FoundationInternationalization)
        // A use, because a static linker takes nothing of a module that is only imported.
        _ = Date.FormatStyle()
        #endif
        return TimeZone(identifier: "Europe/Berlin") != nil
    }
}
