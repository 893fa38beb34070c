*Filestore Health* names the record that an attachment belongs to, fits on a phone, and offers *Repair All* only where something can be repaired. A repair says how many files it put back.
