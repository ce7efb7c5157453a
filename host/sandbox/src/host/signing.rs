//! `signing`: signatures by secrets that the guest never sees.

use crate::bindings::imports::signing::{Algorithm, Host, SigningError};
use crate::state::State;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

impl Host for State {
    fn hmac(
        &mut self,
        secret_ref: String,
        algorithm: Algorithm,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SigningError> {
        let Some(secret) = self.binding.secrets.get(&secret_ref) else {
            return Err(SigningError::UnknownSecret(secret_ref));
        };
        Ok(match algorithm {
            Algorithm::HmacSha256 => sign::<Hmac<Sha256>>(secret.expose(), &data),
            Algorithm::HmacSha512 => sign::<Hmac<Sha512>>(secret.expose(), &data),
        })
    }

    fn verify(
        &mut self,
        secret_ref: String,
        algorithm: Algorithm,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<bool, SigningError> {
        let expected = self.hmac(secret_ref, algorithm, data)?;
        Ok(expected.ct_eq(&signature).into())
    }
}

pub(crate) fn sign<M: Mac + hmac::digest::KeyInit>(secret: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}
